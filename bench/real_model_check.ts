/**
 * Prints what deltal computes with a Hugging Face folder, one JSON object on each line, for `real_model_check.py`:
 * ids, logits behind every token, and a greedy continuation of some texts.
 *
 *     deno run -A bench/real_model_check.ts models/smol | venv/bin/python bench/real_model_check.py models/smol
 */

import { openGpu, Policy } from "../mod.ts";
import { loadTokenizer } from "../src/text/mod.ts";

const dir = Deno.args[0]!;
const tokenizer = await loadTokenizer(dir, { chatTemplate: true });
const ask = (content: string) => tokenizer.encodeChat!([{ role: "user", content }]);
const prompts = [
  tokenizer.encode("Water is made of hydrogen and"),
  tokenizer.encode(
    "In 1492, Columbus sailed 3,000 miles: ½ of the way…\n\n\tif (x != 0) { return x²; }",
  ),
  ask("What is the capital of France?"),
  ask("Name three colors."),
];
const gpu = await openGpu();
const policy = await Policy.load(gpu, dir, { trainable: false });
const { completions } = await policy.generate(prompts, { maxCompletionLength: 24, temperature: 0 });
for (const [i, ids] of prompts.entries()) {
  const logits = [...await policy.logits([ids])];
  const text = tokenizer.decode(ids, { specialTokens: true });
  const greedy = completions[i]!;
  console.log(JSON.stringify({ text, ids, logits, greedy, answer: tokenizer.decode(greedy) }));
}
await gpu.close();
