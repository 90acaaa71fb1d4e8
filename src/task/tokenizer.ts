/**
 * Between text and token ids: what a tokenizer is, and the simplest one.
 *
 * @module
 */

/** One message of a conversation. */
export interface ChatMessage {
  /** Who speaks: `system`, `user` or `assistant`. */
  readonly role: string;
  /** What is said. */
  readonly content: string;
}

/**
 * Variables of a chat template beside the conversation, by their names in the template, such as
 * `{ enable_thinking: false }` for Qwen3. What they do is up to the template.
 */
export type ChatTemplateKwargs = Readonly<Record<string, unknown>>;

/** Options of {@linkcode Tokenizer.encode}. */
export interface EncodeOptions {
  /** Add the special tokens a text begins with, such as Llama's begin of text. Default `false`. */
  readonly specialTokens?: boolean;
}

/** Options of {@linkcode Tokenizer.decode}. */
export interface DecodeOptions {
  /** Write special tokens such as the end of sequence too. Default `false`. */
  readonly specialTokens?: boolean;
}

/** Turns text into token ids and back. */
export interface Tokenizer {
  /** The text of every id, for people. */
  readonly vocabulary: readonly string[];
  /** The id that fills unused places. */
  readonly padTokenId: number;
  /** The ids that end a completion, at least one. */
  readonly eosTokenIds: readonly number[];

  /**
   * The ids of a text.
   *
   * @throws {RangeError} If the text cannot be written with the vocabulary.
   */
  encode(text: string, options?: EncodeOptions): number[];

  /** The text of ids. What becomes of ids out of vocabulary is up to the tokenizer; nothing throws. */
  decode(ids: readonly number[], options?: DecodeOptions): string;

  /**
   * The ids of a conversation up to where a chat model begins its answer.
   *
   * @param messages The conversation.
   * @param chatTemplateKwargs Further variables of the model's template.
   * @throws {Error} If the model's template refuses the conversation.
   */
  encodeChat?(messages: readonly ChatMessage[], chatTemplateKwargs?: ChatTemplateKwargs): number[];
}

/**
 * A tokenizer over a few symbols, each one token: for policies trained from nothing.
 *
 * Id 0 is padding and 1 is end of sequence; the symbols follow in their order. Of several symbols that fit, encoding
 * takes the longest; white space that is no symbol separates and is left out. Decoding puts a space between symbols
 * unless every one is a single character, and shows padding and ids that have no symbol, as `<pad>` and `<id>`: whatever
 * a policy writes but the end of sequence, its verifier sees.
 *
 * @param symbols The characters of a text, or a list of symbols.
 * @throws {TypeError} If it is neither.
 * @throws {RangeError} If there are none, one is empty or one appears twice.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { encode, decode } = symbolTokenizer("0123456789+=");
 * assertEquals(encode("2+2="), [4, 12, 4, 13]);
 * assertEquals(decode([6, 1]), "4");
 * ```
 */
export function symbolTokenizer(symbols: Iterable<string>): Tokenizer {
  if (typeof symbols?.[Symbol.iterator] !== "function") {
    throw new TypeError(
      `symbolTokenizer needs the characters of a text, or a list of symbols: got ${symbols}`,
    );
  }
  const vocabulary = Object.freeze(["<pad>", "<eos>", ...symbols]);
  const idOf = new Map(vocabulary.map((symbol, id) => [symbol, id]));
  if (vocabulary.length === 2 || idOf.has("") || idOf.size < vocabulary.length) {
    throw new RangeError(
      `symbols must be different texts, at least one: got ${JSON.stringify(vocabulary.slice(2))}`,
    );
  }
  const separator = vocabulary.slice(2).every((symbol) => [...symbol].length === 1) ? "" : " ";
  const lengths = [...new Set(vocabulary.slice(2).map(({ length }) => length))].sort((a, b) =>
    b - a
  );
  return {
    vocabulary,
    padTokenId: 0,
    eosTokenIds: [1],
    encode(text: string): number[] {
      const ids: number[] = [];
      for (let at = 0; at < text.length;) {
        const length = lengths.find((length) => (idOf.get(text.slice(at, at + length)) ?? 0) > 1);
        if (length !== undefined) {
          ids.push(idOf.get(text.slice(at, at += length))!);
        } else if (/\s/.test(text[at]!)) {
          at++;
        } else {
          throw new RangeError(
            `${JSON.stringify(text.slice(at, at + 20))} begins with no symbol: they are ` +
              vocabulary.slice(2).join(" "),
          );
        }
      }
      return ids;
    },
    decode(ids: readonly number[], { specialTokens = false }: DecodeOptions = {}): string {
      return ids
        .filter((id) => specialTokens || id !== 1)
        // A policy may write padding, and ids beyond the symbols: they must not vanish, or a verifier would overlook them.
        .map((id) => vocabulary[id] ?? `<${id}>`)
        .join(separator);
    },
  };
}
