/**
 * A task's symbols as the tokenizer of a Hugging Face folder, for engines that read prompts as texts.
 *
 * @module
 */

import type { Task } from "../task/task.ts";
import type { TokenizerFiles } from "../model/tokenizer_files.ts";

/** Symbols of one character stand side by side, others apart, as tasks write them. */
export function symbolTokenizerFiles({ vocabulary, padTokenId, eosTokenId }: Task): TokenizerFiles {
  const apart = vocabulary.some((symbol, id) =>
    id !== padTokenId && id !== eosTokenId && [...symbol].length > 1
  );
  const [pad, eos] = [vocabulary[padTokenId]!, vocabulary[eosTokenId]!];
  const special = (content: string, id: number) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const tokenizer = {
    version: "1.0",
    added_tokens: [special(pad, padTokenId), special(eos, eosTokenId)],
    normalizer: null,
    pre_tokenizer: apart
      ? { type: "WhitespaceSplit" }
      : { type: "Split", pattern: { Regex: "." }, behavior: "Isolated", invert: false },
    post_processor: null,
    // Without a decoder there would be a space between symbols.
    decoder: apart ? null : { type: "Fuse" },
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(vocabulary.map((symbol, id) => [symbol, id])),
      unk_token: pad,
    },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    pad_token: pad,
    eos_token: eos,
    padding_side: "left",
  };
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n");
  return new Map([["tokenizer.json", bytes(tokenizer)], ["tokenizer_config.json", bytes(config)]]);
}
