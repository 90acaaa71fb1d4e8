/**
 * Why a path is no Hugging Face folder, and what to do about it.
 *
 * @module
 */

import { errors, fs } from "../host/host.ts";
import { basename, dirname, join } from "../host/paths.ts";
import { fileExists, readJsonObject } from "./json_file.ts";

/** A name on the Hugging Face hub, such as `Qwen/Qwen3-0.6B`. */
const HUB_NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/** What tokenizers were kept in before there was tokenizer.json. */
const OLDER_TOKENIZERS = ["tokenizer.model", "vocab.json"] as const;

/**
 * Says why a path without `config.json` or `tokenizer.json` is no Hugging Face folder, and what to do.
 *
 * @param dir The path.
 * @param missing The file that was looked for.
 */
export async function explainMissing(dir: string, missing: string): Promise<Error> {
  if (await isFolder(dir)) {
    const adapter = join(dir, "adapter_config.json");
    if (await fileExists(adapter)) return new errors.NotFound(await explainAdapter(adapter));
    const older = missing === "tokenizer.json" && await firstOf(dir, OLDER_TOKENIZERS);
    if (older) {
      return new errors.NotFound(
        `${dir} has ${older} but no tokenizer.json: make one with python -c "from transformers ` +
          `import AutoTokenizer as T; T.from_pretrained('${dir}').save_pretrained('${dir}')"`,
      );
    }
    return new errors.NotFound(
      `${dir} has no ${missing}: give the folder of a Hugging Face checkpoint`,
    );
  }
  // Below a folder that is here, it is a folder that is not.
  if (!HUB_NAME.test(dir) || await isFolder(dirname(dir))) {
    return new errors.NotFound(`There is no folder ${dir}: give that of a Hugging Face checkpoint`);
  }
  const local = `models/${basename(dir)}`;
  return new errors.NotFound(
    `There is no folder ${dir}. If it is a model on the Hugging Face hub, download it with ` +
      `"hf download ${dir} --local-dir ${local}" (from pip install huggingface_hub) and give ${local}`,
  );
}

async function firstOf(dir: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if (await fileExists(join(dir, name))) return name;
  return undefined;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await fs.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof errors.NotFound || error instanceof errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

async function explainAdapter(path: string): Promise<string> {
  const dir = dirname(path);
  const { base_model_name_or_path: base } = await readJsonObject(path);
  const of = typeof base === "string" && base !== "" ? ` of ${base}` : "";
  return `${dir} holds a LoRA adapter${of} and no model: merge it into one and give that folder, with ` +
    `python -c "from peft import AutoPeftModelForCausalLM as M; ` +
    `M.from_pretrained('${dir}').merge_and_unload().save_pretrained('${dir}-merged')"`;
}
