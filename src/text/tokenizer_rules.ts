/**
 * The rules of a `tokenizer.json` in terms that `@huggingface/tokenizers` follows as Python's `tokenizers` does.
 *
 * Its own `Digits` knows only `\d`, and what it does with white space is JavaScript's, where U+FEFF is some and U+0085 is
 * none. Its `Split` and `Replace` translate regular expressions faithfully, so the others are written as these.
 *
 * @module
 */

import { isJsonObject } from "../files/json_file.ts";

/** GPT-2's words, as the byte-level rule of `tokenizers` has them. */
const WORDS = String
  .raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** What `\w` is to Rust, for inside brackets. */
const LETTERS = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d`;

type Rule = Record<string, unknown>;

function split(regex: string, behavior: "Isolated" | "Removed", invert = false): Rule {
  return { type: "Split", pattern: { Regex: regex }, behavior, invert };
}

function replace(regex: string, content: string): Rule {
  return { type: "Replace", pattern: { Regex: regex }, content };
}

/** Applies a translation to a rule, or to those of a sequence. */
function each(rule: unknown, list: string, translate: (rule: Rule) => Rule): unknown {
  if (!isJsonObject(rule)) return rule;
  const rules = rule[list];
  if (rule.type === "Sequence" && Array.isArray(rules)) {
    return { ...rule, [list]: rules.map((inner) => each(inner, list, translate)) };
  }
  return translate(rule);
}

function preTokenizer(rule: Rule): Rule {
  switch (rule.type) {
    case "Digits":
      return split(rule.individual_digits === true ? "\\p{N}" : "\\p{N}+", "Isolated");
    case "Whitespace":
      return split(`[${LETTERS}]+|[^${LETTERS}\\s]+`, "Removed", true);
    case "WhitespaceSplit":
      return split("\\s+", "Removed");
    case "BertPreTokenizer":
      return {
        type: "Sequence",
        pretokenizers: [split("\\s+", "Removed"), split("[\\p{P}$+<=>^`|~]", "Isolated")],
      };
    case "ByteLevel":
      // With a prefix the space comes before the words are cut.
      if (rule.use_regex === false || rule.add_prefix_space !== false) return rule;
      return {
        type: "Sequence",
        pretokenizers: [split(WORDS, "Isolated"), { ...rule, use_regex: false }],
      };
    default:
      return rule;
  }
}

function normalizer(rule: Rule): Rule {
  if (rule.type !== "Strip") return rule;
  const normalizers = [];
  if (rule.strip_left === true) normalizers.push(replace("\\A\\s+", ""));
  if (rule.strip_right === true) normalizers.push(replace("\\s+\\z", ""));
  return { type: "Sequence", normalizers };
}

/** A tokenizer.json with its rules translated. */
export function asPythonReads(json: Rule): Rule {
  return {
    ...json,
    ...("pre_tokenizer" in json &&
      { pre_tokenizer: each(json.pre_tokenizer, "pretokenizers", preTokenizer) }),
    ...("normalizer" in json && { normalizer: each(json.normalizer, "normalizers", normalizer) }),
  };
}
