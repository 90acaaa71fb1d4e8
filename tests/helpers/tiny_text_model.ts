/** A Hugging Face folder of a model so small that training it takes a second: random weights, a real tokenizer. */

import type { Gpu } from "../../src/gpu/device.ts";
import type { PolicyConfig } from "../../src/model/config.ts";
import { Policy } from "../../src/model/policy.ts";

const TOKENIZER = new URL("../fixtures/tiny-bpe/", import.meta.url);

/** Shape of the model, with more ids than the tokenizer has, as real ones do. */
export const TINY_TEXT_CONFIG = {
  vocabSize: 384,
  hiddenSize: 32,
  intermediateSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 640,
  ropeTheta: 1e6,
  eosTokenId: 352,
} as const;

/** Writes the model into a folder: a Qwen2, or another family. */
export async function writeTinyTextModel(
  gpu: Gpu,
  dir: string,
  { seed = 0, ...family }: { seed?: number } & Partial<PolicyConfig> = {},
): Promise<void> {
  const policy = Policy.create(gpu, { ...TINY_TEXT_CONFIG, ...family }, { seed });
  await policy.save(dir);
  policy.destroy();
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(new URL(name, TOKENIZER), `${dir}/${name}`);
  }
}
