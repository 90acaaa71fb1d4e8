/** Loads and saves every fixture, and writes the logits of some tokens beside it: see transformers_roundtrip.sh. */

import { fileURLToPath } from "node:url";
import { openGpu } from "../../src/gpu/open.ts";
import { Policy } from "../../src/model/policy.ts";
import { FAMILY_FIXTURES } from "../helpers/family_oracle.ts";

const gpu = await openGpu();
for (const name of ["../tiny-qwen2", ...FAMILY_FIXTURES]) {
  const from = fileURLToPath(new URL(`../fixtures/families/${name}`, import.meta.url));
  const to = `${Deno.args[0]}/saved/${name.replace("../", "")}`;
  const policy = await Policy.load(gpu, from);
  await policy.save(to);
  const { vocabSize, maxPositionEmbeddings } = policy.config;
  const length = Math.min(maxPositionEmbeddings, 96);
  const tokens = [Array.from({ length }, (_, i) => (7 * i * i + 3 * i + 5) % vocabSize)];
  const logits = [...await policy.logits(tokens)];
  await Deno.writeTextFile(`${to}/expected.json`, JSON.stringify({ from, tokens, logits }));
  policy.destroy();
}
await gpu.close();
