/**
 * Adapters as a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */

import { fs } from "../host/host.ts";
import { dirname, isAbsolute, join } from "../host/paths.ts";
import { writeFileAtomic } from "../files/atomic_file.ts";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { writeSafetensors } from "../files/safetensors.ts";
import { SafetensorsFile } from "../files/safetensors_file.ts";
import type { Adapters } from "./adapters.ts";
import { LORA_TARGETS, type LoraOptions, type LoraTarget } from "./lora_options.ts";
import { listSome } from "./hf_weights.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** PEFT wraps the model twice. */
const PREFIX = "base_model.model.";

/** What an `adapter_config.json` says. */
export interface LoraFolder {
  /** Folder or name of the model that the adapters belong to. */
  readonly base: string;
  /** Rank, alpha and targets. */
  readonly options: LoraOptions;
}

/** Settings that change what adapters compute, and the values that ours have. */
const PLAIN: Readonly<Record<string, unknown>> = {
  bias: "none",
  use_rslora: false,
  use_dora: false,
  fan_in_fan_out: false,
  lora_bias: false,
};

/**
 * Reads the configuration of an adapter folder.
 *
 * @returns `undefined` if it holds no adapters, or a whole model beside them.
 * @throws {RangeError} Naming a setting that is not supported.
 */
export async function readLoraFolder(dir: string): Promise<LoraFolder | undefined> {
  const path = join(dir, CONFIG);
  if (!await fileExists(path) || await fileExists(join(dir, "config.json"))) return undefined;
  const json = await readJsonObject(path);
  const refuse = (name: string, allowed: string) =>
    new RangeError(
      `${path}: ${name} is ${JSON.stringify(json[name])}: ${allowed}; merge the adapter with ` +
        "PEFT and give that folder",
    );
  if (json.peft_type !== "LORA") throw refuse("peft_type", `only "LORA" is supported`);
  for (const [name, value] of Object.entries(PLAIN)) {
    if (name in json && json[name] !== value) {
      throw refuse(name, `only ${JSON.stringify(value)} is supported`);
    }
  }
  for (const name of ["modules_to_save", "layers_to_transform", "rank_pattern", "alpha_pattern"]) {
    const value = json[name];
    const empty = value === null || value === undefined || Object.keys(value).length === 0;
    if (!empty) throw refuse(name, "it is not supported");
  }
  const { r, lora_alpha: alpha, target_modules: modules, base_model_name_or_path: base } = json;
  if (typeof r !== "number") throw refuse("r", "give a number");
  if (typeof alpha !== "number") throw refuse("lora_alpha", "give a number");
  if (typeof base !== "string" || base === "") {
    throw refuse("base_model_name_or_path", "name a folder");
  }
  // PEFT makes whole paths of "all-linear" in a model of few layers; the weights tell whether a layer lacks some.
  const names = Array.isArray(modules) ? modules.map((name) => String(name).split(".").at(-1)) : [];
  const targetModules = LORA_TARGETS.filter((target) => names.includes(target));
  if (names.length === 0 || names.some((name) => !LORA_TARGETS.includes(name as LoraTarget))) {
    throw refuse("target_modules", `use some of ${LORA_TARGETS.join(", ")}`);
  }
  const local = isAbsolute(base) ? base : join(dirname(dir), base);
  return {
    base: await fileExists(join(local, "config.json")) ? local : base,
    options: { rank: r, alpha, targetModules },
  };
}

/**
 * Reads the matrices of an adapter folder.
 *
 * @throws {RangeError} If the file has others than the adapters.
 */
export async function loadLoraWeights(dir: string, adapters: Adapters): Promise<void> {
  const file = await SafetensorsFile.open(join(dir, WEIGHTS));
  try {
    await fillAdapters(adapters, file);
  } finally {
    file.close();
  }
  await adapters.synchronise();
}

async function fillAdapters(adapters: Adapters, file: SafetensorsFile): Promise<void> {
  const missing = adapters.names.filter((name) => !file.has(PREFIX + name));
  if (missing.length > 0) throw new RangeError(`${file.path}: ${listSome(missing, "missing")}`);
  for (const name of adapters.names) {
    const { shape } = adapters.range(name);
    const info = file.info(PREFIX + name);
    if (`${info.shape}` !== `${shape}`) {
      throw new RangeError(`${file.path}: ${info.name} is [${info.shape}] instead of [${shape}]`);
    }
    adapters.write(name, await file.readFloat32(PREFIX + name));
  }
}

/**
 * Writes an adapter folder that PEFT's `PeftModel.from_pretrained` reads.
 *
 * @param base Folder or name of the model they belong to.
 */
export async function saveLoraFolder(dir: string, adapters: Adapters, base: string): Promise<void> {
  const { rank, alpha, targetModules } = adapters.options;
  const values = await adapters.read();
  const specs = adapters.names.map((name) => ({
    name: PREFIX + name,
    dtype: "F32" as const,
    shape: adapters.range(name).shape,
  }));
  await fs.mkdir(dir, { recursive: true });
  await writeSafetensors(
    join(dir, WEIGHTS),
    specs,
    (name) => values.get(name.slice(PREFIX.length))!,
    { format: "pt" },
  );
  const json = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: targetModules,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_dora: false,
    use_rslora: false,
    modules_to_save: null,
    layers_to_transform: null,
    rank_pattern: {},
    alpha_pattern: {},
  };
  await writeFileAtomic(join(dir, CONFIG), JSON.stringify(json, null, 2) + "\n");
}

/**
 * A weight with its adapters added, in float64 and rounded once.
 *
 * @param name Hugging Face name of the weight.
 * @param weight Its values as they are, row-major.
 * @param adapters Whose adapters.
 * @param values The adapters' matrices by name.
 */
export function mergedWeight(
  name: string,
  weight: Float32Array<ArrayBuffer>,
  adapters: Adapters,
  values: ReadonlyMap<string, Float32Array>,
): Float32Array<ArrayBuffer> {
  const path = name.replace(/\.weight$/, "");
  const [a, b] = ["A", "B"].map((which) => values.get(`${path}.lora_${which}.weight`));
  if (!a || !b) return weight;
  const { rank, alpha } = adapters.options;
  const scale = alpha / rank;
  const width = a.length / rank;
  const row = new Float64Array(width);
  for (let n = 0; n < b.length / rank; n++) {
    row.fill(0);
    for (let j = 0; j < rank; j++) {
      const factor = scale * b[n * rank + j]!;
      if (factor === 0) continue;
      for (let k = 0; k < width; k++) row[k]! += factor * a[j * width + k]!;
    }
    for (let k = 0; k < width; k++) weight[n * width + k]! += row[k]!;
  }
  return weight;
}
