/**
 * Tokenizers of Hugging Face models: `tokenizer.json` and what stands beside it.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { errors, fs } from "../host/host.ts";
import { join } from "../host/paths.ts";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { explainMissing } from "../files/model_folder.ts";
import type {
  ChatMessage,
  ChatTemplateKwargs,
  DecodeOptions,
  EncodeOptions,
  Tokenizer,
} from "../task/tokenizer.ts";
import { asPythonReads } from "./tokenizer_rules.ts";

/** Options of {@linkcode loadTokenizer}. */
export interface LoadTokenizerOptions {
  /** Read the model's chat template too, so that prompts may be conversations. Default `false`. */
  readonly chatTemplate?: boolean;
  /** Variables of the chat template that every conversation gets unless it says otherwise. Default: none. */
  readonly chatTemplateKwargs?: ChatTemplateKwargs;
}

const NAMES = namesOf<LoadTokenizerOptions>({ chatTemplate: true, chatTemplateKwargs: true });

/** Decides which tokens end a text, in this order of preference. */
const EOS_FILES = ["generation_config.json", "config.json"] as const;

/**
 * Reads the tokenizer of a Hugging Face model.
 *
 * The ids that end a completion are those of `generation_config.json`, else of `config.json`, else the `eos_token` of
 * `tokenizer_config.json`. Texts are encoded and decoded by `@huggingface/tokenizers` as by Python's
 * `transformers`; `docs/library.md` lists what differs.
 *
 * @param dir The model's folder; needs read permission.
 * @param options Whether to read the chat template.
 * @throws {Deno.errors.NotFound} If there is no `tokenizer.json`, or no chat template when one is asked for.
 * @throws {SyntaxError | TypeError | RangeError} Naming the file that is damaged or not supported.
 *
 * @example
 * ```ts ignore
 * import { loadTokenizer } from "@deltal/deltal/text";
 *
 * const tokenizer = await loadTokenizer("models/Qwen2.5-0.5B");
 * console.log(tokenizer.encode("Hello world"));
 * ```
 */
export async function loadTokenizer(
  dir: string,
  options: LoadTokenizerOptions = {},
): Promise<Tokenizer> {
  checkNames("loadTokenizer", options, NAMES);
  const path = join(dir, "tokenizer.json");
  if (!await fileExists(path)) {
    throw await explainMissing(dir, "tokenizer.json");
  }
  const configPath = join(dir, "tokenizer_config.json");
  const config = await fileExists(configPath) ? await readJsonObject(configPath) : {};
  const json = await readJsonObject(path);
  const inner = open(path, json, config);
  const vocabulary = vocabularyOf(inner);
  const idOf = (token: unknown) => {
    // Older files store an object with the token's properties.
    const content = typeof token === "object" && token !== null && "content" in token
      ? token.content
      : token;
    return typeof content === "string" ? inner.token_to_id(content) : undefined;
  };
  const eosTokenIds = await eosOf(dir, vocabulary) ?? [idOf(config.eos_token)];
  if (eosTokenIds.some((id) => id === undefined)) {
    throw new RangeError(
      `${dir} does not say which token ends a text: add eos_token_id to its generation_config.json`,
    );
  }
  const ends = eosTokenIds as number[];
  const encode = (text: string, { specialTokens = false }: EncodeOptions = {}) =>
    text === "" ? [] : inner.encode(text, { add_special_tokens: specialTokens }).ids;
  const cleanUp = cleansUp(json, config);
  const chat = options.chatTemplate ? await chatTemplate(dir, config) : undefined;
  const encodeChat = (messages: readonly ChatMessage[], variables?: ChatTemplateKwargs) =>
    encode(chat!(messages, { ...options.chatTemplateKwargs, ...variables }));
  return {
    vocabulary,
    padTokenId: idOf(config.pad_token) ?? ends[0]!,
    eosTokenIds: ends,
    encode,
    decode(ids: readonly number[], { specialTokens = false }: DecodeOptions = {}) {
      const known = ids.filter((id) => vocabulary[id] !== undefined);
      const text = known.length === 0 ? "" : inner.decode(known, {
        skip_special_tokens: !specialTokens,
        clean_up_tokenization_spaces: cleanUp,
      });
      return text;
    },
    ...(chat && { encodeChat }),
  };
}

function open(
  path: string,
  json: Record<string, unknown>,
  config: Record<string, unknown>,
): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(asPythonReads(json), config);
  } catch (error) {
    throw new TypeError(`${path} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Whether spaces before punctuation are removed from decoded text: not from that of BPE, where they are part of the text
 * whatever `clean_up_tokenization_spaces` says, as in transformers 5.
 */
function cleansUp(json: Record<string, unknown>, config: Record<string, unknown>): boolean {
  if (config.clean_up_tokenization_spaces !== true) return false;
  const { type, merges } = json.model as { readonly type?: unknown; readonly merges?: unknown };
  // Old files do not say the type.
  const isBpe = type === "BPE" || (type === undefined && merges !== undefined);
  return !isBpe ||
    config.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output === true;
}

/** The token of every id, as it is stored; holes, which some models have, are filled. */
function vocabularyOf(tokenizer: HuggingFaceTokenizer): readonly string[] {
  const vocabulary: string[] = [];
  for (const [token, id] of tokenizer.get_vocab(true)) vocabulary[id] = token;
  return Object.freeze(Array.from(vocabulary, (token, id) => token ?? `<${id}>`));
}

async function eosOf(dir: string, vocabulary: readonly string[]): Promise<number[] | undefined> {
  for (const name of EOS_FILES) {
    const path = join(dir, name);
    if (!await fileExists(path)) continue;
    const { eos_token_id: value } = await readJsonObject(path);
    if (value === undefined || value === null) continue;
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    const bad = ids.find((id) => typeof id !== "number" || vocabulary[id] === undefined);
    if (bad !== undefined || ids.length === 0) {
      throw new RangeError(
        `${path}: eos_token_id must be ids of the tokenizer, from 0 to ${vocabulary.length - 1}: ` +
          `current value is ${JSON.stringify(value)}`,
      );
    }
    return ids as number[];
  }
  return undefined;
}

/** Special tokens that chat templates know by name. */
const NAMED_TOKENS = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((n) => `${n}_token`);

/** Reads the model's Jinja template. */
async function chatTemplate(
  dir: string,
  config: Record<string, unknown>,
): Promise<(messages: readonly ChatMessage[], variables: ChatTemplateKwargs) => string> {
  const path = join(dir, "chat_template.jinja");
  const named = Array.isArray(config.chat_template)
    ? config.chat_template.find((entry) => entry?.name === "default")?.template
    : config.chat_template;
  const source: unknown = await fileExists(path) ? await fs.readTextFile(path) : named;
  if (typeof source !== "string") {
    throw new errors.NotFound(
      `${dir} has no chat template: it is in chat_template.jinja or tokenizer_config.json`,
    );
  }
  const { Template } = await import("@huggingface/jinja");
  let template: InstanceType<typeof Template>;
  try {
    template = new Template(source);
  } catch (error) {
    throw new SyntaxError(`The chat template of ${dir} is not valid: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // As in transformers: those there are, by name.
  const tokens: Record<string, string> = {};
  for (const name of NAMED_TOKENS) {
    const token = config[name] as string | { content: string } | null | undefined;
    const content = typeof token === "object" ? token?.content : token;
    if (content !== undefined) tokens[name] = content;
  }
  return (messages, variables) =>
    template.render({ messages, add_generation_prompt: true, ...tokens, ...variables });
}
