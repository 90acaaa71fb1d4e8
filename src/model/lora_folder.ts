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
import { firstBeyond, listSome } from "./hf_weights.ts";

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

/** Ways of beginning, after which PEFT leaves the model's own weights as they are. */
const PLAIN_BASE: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  "gaussian",
  "orthogonal",
  "eva",
];

/** Settings that are read, or change nothing of what adapters compute once they are trained. */
const READ: ReadonlySet<string> = new Set([
  ...Object.keys(PLAIN),
  ...["peft_type", "r", "lora_alpha", "target_modules", "base_model_name_or_path"],
  ...["init_lora_weights", "eva_config", "lora_dropout", "inference_mode", "task_type"],
  ...["auto_mapping", "revision", "peft_version", "exclude_modules", "layers_pattern"],
  ...["ensure_weight_tying", "megatron_core", "qalora_group_size"],
]);

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
  if (!PLAIN_BASE.includes(json.init_lora_weights)) {
    throw refuse("init_lora_weights", "PEFT changes the model's own weights when it loads these");
  }
  for (const [name, value] of Object.entries(json)) {
    const unused = value === null || value === false ||
      (typeof value === "object" && Object.keys(value).length === 0);
    if (!unused && !READ.has(name)) throw refuse(name, "it is not supported");
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
 * @throws {RangeError} If the file has others than the adapters, or a value that is not finite.
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
  const expected = new Set(adapters.names.map((name) => PREFIX + name));
  const unexpected = file.names.filter((name) => !expected.has(name));
  if (unexpected.length > 0) {
    throw new RangeError(`${file.path}: ${listSome(unexpected, "unexpected")}`);
  }
  for (const name of adapters.names) {
    const { shape } = adapters.range(name);
    const info = file.info(PREFIX + name);
    if (`${info.shape}` !== `${shape}`) {
      throw new RangeError(`${file.path}: ${info.name} is [${info.shape}] instead of [${shape}]`);
    }
    adapters.write(name, finite(file.path, info.name, await file.readFloat32(info.name)));
  }
}

function finite<V extends Float32Array>(where: string, name: string, values: V): V {
  const at = firstBeyond(values, Infinity);
  if (at < 0) return values;
  throw new RangeError(`${where}: ${name} holds ${values[at]} at element ${at}`);
}

/**
 * Writes an adapter folder that PEFT's `PeftModel.from_pretrained` reads.
 *
 * @param base Folder or name of the model they belong to.
 * @throws {RangeError} If a value is not finite; the folder is then as it was.
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
    (name) => finite(dir, name, values.get(name.slice(PREFIX.length))!),
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
