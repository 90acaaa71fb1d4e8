/**
 * Models with a tokenizer: reading the tokenizer of a Hugging Face folder, and the paper's CountDown task in words.
 *
 * Unlike the rest of the library this entry point depends on packages: `@huggingface/tokenizers`, and
 * `@huggingface/jinja` when a chat template is asked for.
 *
 * @example What an answer to the paper's task is worth
 * ```ts
 * import { countdownReward } from "@deltal/deltal/text";
 * import { assertEquals } from "@std/assert";
 *
 * const row = { nums: [44, 19, 35], target: 60 };
 * assertEquals(countdownReward("<answer>44-19+35</answer>", row), 1);
 * assertEquals(countdownReward("<answer>44+19</answer>", row), 0); // not all of the numbers
 * ```
 *
 * @example A model of one's own choice on the paper's task
 * ```ts ignore
 * import { openGpu, Policy, train } from "@deltal/deltal";
 * import { loadTokenizer, textCountdown } from "@deltal/deltal/text";
 *
 * const dir = "models/Qwen2.5-0.5B";
 * const task = textCountdown({ tokenizer: await loadTokenizer(dir), maxCompletionLength: 512 });
 * const policy = await Policy.load(await openGpu(), dir);
 * for await (const { step, metrics } of train({ policy, task, ...task.defaults.rl })) {
 *   console.log(step, metrics["reward/mean"]);
 * }
 * await policy.save("models/trained");
 * ```
 *
 * @example Prompts and rewards of one's own
 * ```ts ignore
 * import { defineTask, jsonlDataset } from "@deltal/deltal";
 * import { loadTokenizer } from "@deltal/deltal/text";
 *
 * const task = defineTask({
 *   name: "sums",
 *   tokenizer: await loadTokenizer("models/Qwen2.5-0.5B-Instruct", { chatTemplate: true }),
 *   prompts: await jsonlDataset<{ prompt: string; answer: string }>("sums.jsonl"),
 *   verify: ({ completion, row }) => completion.includes(row.answer),
 *   maxCompletionLength: 256,
 * });
 * ```
 *
 * @module
 */

export { evaluateArithmetic } from "./arithmetic.ts";
export {
  countdownAnswer,
  countdownPrompt,
  countdownReward,
  type CountdownRow,
  textCountdown,
  type TextCountdownOptions,
} from "./countdown.ts";
export { loadTokenizer, type LoadTokenizerOptions } from "./hf_tokenizer.ts";
export type {
  ChatMessage,
  ChatTemplateKwargs,
  DecodeOptions,
  EncodeOptions,
} from "../task/tokenizer.ts";
