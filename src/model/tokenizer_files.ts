/**
 * The tokenizer's files of a Hugging Face folder, which travel with the weights unread.
 *
 * @module
 */

import { fs } from "../host/host.ts";
import { join } from "../host/paths.ts";
import { writeFileAtomic } from "../files/atomic_file.ts";
import { fileExists } from "../files/json_file.ts";

/** Files that tokenizers of the Llama and Qwen2 families are made of. */
const NAMES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
  "chat_template.jinja",
] as const;

/** Contents of files by name. */
export type TokenizerFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Reads those files that a folder has; none if it has no tokenizer. */
export async function readTokenizerFiles(dir: string): Promise<TokenizerFiles> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of NAMES) {
    const path = join(dir, name);
    if (await fileExists(path)) files.set(name, await fs.readFile(path));
  }
  return files;
}

/** Writes them into a folder, each atomically. */
export async function writeTokenizerFiles(dir: string, files: TokenizerFiles): Promise<void> {
  for (const [name, bytes] of files) await writeFileAtomic(join(dir, name), bytes);
}
