/**
 * The configuration of a Hugging Face folder: `config.json` and `generation_config.json`.
 *
 * @module
 */

import { join } from "../host/paths.ts";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { explainMissing } from "../files/model_folder.ts";
import { type PolicyConfig, resolveConfig } from "./config.ts";
import { configFromHuggingFace } from "./hf_config.ts";
import type { HuggingFaceConfig } from "./hf_fields.ts";

/** What a generation_config.json without settings of its own says beside token ids. */
const FOLLOWS_CONFIG = { _from_model_config: true };

/**
 * Reads the configuration of a folder. `generation_config.json` decides which tokens end a response.
 *
 * @throws {Deno.errors.NotFound} If there is no config.json, with what to do about it.
 * @throws {SyntaxError | TypeError | RangeError} Naming the file and setting that is damaged or not supported.
 */
export async function readConfig(dir: string): Promise<PolicyConfig> {
  const path = join(dir, "config.json");
  if (!await fileExists(path)) throw await explainMissing(dir, "config.json");
  const config = await named(dir, async () => configFromHuggingFace(await readJsonObject(path)));
  const generationPath = join(dir, "generation_config.json");
  if (!await fileExists(generationPath)) return config;
  const json = await readJsonObject(generationPath);
  const { eos_token_id, ...settings } = json;
  const suppressed = settings.suppress_tokens;
  const single = Array.isArray(suppressed) && suppressed.length === 1;
  if (single || suppressed === null) delete settings.suppress_tokens;
  // Only what config.json does not say.
  for (const [name, id] of Object.entries(idsForOthers(config))) {
    if ((settings[name] ?? id) === id) delete settings[name];
  }
  const followsConfig = JSON.stringify(settings) === JSON.stringify(FOLLOWS_CONFIG);
  return await named(generationPath, () =>
    Promise.resolve(resolveConfig({
      ...config,
      // Checked by resolveConfig.
      eosTokenId: (eos_token_id ?? config.eosTokenId) as number | number[] | undefined,
      suppressedTokenId: single ? suppressed[0] : undefined,
      generationDefaults: followsConfig ? undefined : settings,
    })));
}

/** The token ids that both files have and the engine has no use for. */
function idsForOthers({ bosTokenId, padTokenId }: PolicyConfig) {
  return { bos_token_id: bosTokenId ?? null, pad_token_id: padTokenId ?? null };
}

/** Names the file in errors. */
async function named<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Error && !error.message.startsWith(path)) {
      error.message = `${path}: ${error.message}`;
    }
    throw error;
  }
}

/** The generation_config.json that goes with a configuration. */
export function generationConfigOf(config: PolicyConfig): HuggingFaceConfig {
  return {
    eos_token_id: config.eosTokenId ?? null,
    ...idsForOthers(config),
    ...(config.suppressedTokenId !== undefined && { suppress_tokens: [config.suppressedTokenId] }),
    ...(config.generationDefaults ?? FOLLOWS_CONFIG),
  };
}
