/**
 * Loading and saving policies as Hugging Face checkpoint folders.
 *
 * A folder holds `config.json`, the weights in `model.safetensors` or in shards listed by
 * `model.safetensors.index.json`, and optionally `generation_config.json`.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { fs } from "../host/host.ts";
import { join } from "../host/paths.ts";
import { writeFileAtomic } from "../files/atomic_file.ts";
import { parameterShapes, type PolicyConfig } from "./config.ts";
import {
  encodeFloats,
  isFloatFormat,
  OVERFLOW_FROM,
  type StoredFloatFormat,
} from "../files/float_formats.ts";
import { configToHuggingFace, type TorchDtype } from "./hf_config.ts";
import { generationConfigOf, readConfig } from "./hf_folder.ts";
import { firstBeyond, listSome, openWeights, WEIGHTS } from "./hf_weights.ts";
import { writeSafetensors } from "../files/safetensors.ts";
import type { SafetensorsFile } from "../files/safetensors_file.ts";
import { elementCount } from "../files/safetensors_header.ts";

/** A checkpoint folder open for reading. */
export interface Checkpoint extends Disposable {
  /** The policy's configuration. */
  readonly config: PolicyConfig;
  /** Names of its parameters, in the order of `parameterShapes`. */
  readonly names: readonly string[];
  /**
   * One parameter as float32, in row-major order.
   *
   * @throws {RangeError} If there is no such parameter, or it holds a NaN or an infinity.
   */
  readFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** Closes the files. */
  close(): void;
}

/** Where {@linkcode saveCheckpoint} takes the parameters from: all of them, or one when asked for. */
export type ParameterSource =
  | ReadonlyMap<string, Float32Array<ArrayBuffer>>
  | ((name: string) => Float32Array<ArrayBuffer> | Promise<Float32Array<ArrayBuffer>>);

/** Settings of {@linkcode saveCheckpoint}. */
export interface SaveCheckpointOptions {
  /** Format of the weights, by default `"f32"`; the others round to nearest, ties to even. */
  readonly dtype?: "f32" | "bf16" | "f16";
}

const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";

/** Values compared at a time. */
const BLOCK = 1 << 20;

const FORMATS: Readonly<Record<string, { stored: StoredFloatFormat; torch: TorchDtype }>> = {
  f32: { stored: "F32", torch: "float32" },
  bf16: { stored: "BF16", torch: "bfloat16" },
  f16: { stored: "F16", torch: "float16" },
};

/** What to do about tensors that hold several of ours. */
function fusedHint(names: readonly string[]): string {
  return names.some((name) => /\.(qkv_proj|gate_up_proj|W_pack|c_attn)\./.test(name))
    ? " (they hold several projections in one: use a conversion of the model to LlamaForCausalLM)"
    : "";
}

/** Refuses weights whose names, shapes or types are not those of the configuration. */
function checkTensors(
  dir: string,
  config: PolicyConfig,
  files: ReadonlyMap<string, SafetensorsFile>,
): void {
  const expected = new Map(parameterShapes(config).map(({ name, shape }) => [name, shape]));
  const problems: string[] = [];
  const missing = [...expected.keys()].filter((name) => !files.has(name));
  if (missing.length > 0) problems.push(listSome(missing, "missing"));
  const unexpected = [...files.keys()].filter((name) => !expected.has(name));
  if (unexpected.length > 0) {
    problems.push(listSome(unexpected, "unexpected") + fusedHint(unexpected));
  }
  const misshapen: string[] = [];
  for (const [name, shape] of expected) {
    const info = files.get(name)?.info(name);
    if (info === undefined) continue;
    if (info.shape.join() !== shape.join()) {
      misshapen.push(`${name} is [${info.shape}] instead of [${shape}]`);
    } else if (!isFloatFormat(info.dtype)) {
      misshapen.push(`${name} is of ${info.dtype} instead of F32, F16, BF16 or F64`);
    }
  }
  if (misshapen.length > 0) problems.push(listSome(misshapen, "of the wrong kind"));
  if (problems.length > 0) {
    throw new RangeError(`${dir}: the weights do not fit config.json; ${problems.join("; ")}`);
  }
}

/** Refuses a stored head that is not the embedding it is said to be. */
async function checkTiedHead(
  dir: string,
  head: SafetensorsFile,
  embedding: SafetensorsFile,
): Promise<void> {
  const { shape } = embedding.info(EMBEDDING);
  if (head.info(HEAD).shape.join() !== shape.join()) {
    throw new RangeError(
      `${dir}: ${HEAD} is [${head.info(HEAD).shape}], but config.json ties it to ` +
        `${EMBEDDING}, which is [${shape}]`,
    );
  }
  const size = elementCount(shape);
  for (let first = 0; first < size; first += BLOCK) {
    const count = Math.min(BLOCK, size - first);
    const a = await head.readFloat32(HEAD, first, count);
    const b = await embedding.readFloat32(EMBEDDING, first, count);
    const at = a.findIndex((value, i) => !Object.is(value, b[i]));
    if (at >= 0) {
      throw new RangeError(
        `${dir}: config.json ties ${HEAD} to ${EMBEDDING}, but element ${first + at} is ` +
          `${a[at]} in the one and ${b[at]} in the other; set tie_word_embeddings to false to ` +
          `use both`,
      );
    }
  }
}

/**
 * Opens a Hugging Face checkpoint folder of a Qwen2, Qwen3, Llama, Mistral or SmolLM3 model.
 *
 * Weights may be F32, F16, BF16 or F64, in one file or in shards. `eos_token_id` of
 * generation_config.json takes precedence over that of config.json. Of a tied policy
 * `lm_head.weight` may be stored if it equals the embedding. Weights are read when asked for, so
 * close the checkpoint (or use `using`) after the last one.
 *
 * @throws {Deno.errors.NotFound} If the folder, its config.json or its weights are not there.
 * @throws {SyntaxError | TypeError | RangeError} Naming the file and the settings or tensors that
 * are damaged, missing, unexpected, unsupported or of the wrong shape.
 *
 * @example
 * ```ts ignore
 * using checkpoint = await loadCheckpoint("Qwen2.5-0.5B");
 * const embedding = await checkpoint.readFloat32("model.embed_tokens.weight");
 * ```
 */
export async function loadCheckpoint(dir: string): Promise<Checkpoint> {
  const config = await readConfig(dir);
  const weights = await openWeights(dir);
  const files = new Map(weights.files);
  const close = () => weights.close();
  try {
    // Old checkpoints store the rotary frequencies, which follow from the configuration.
    for (const name of files.keys()) if (name.endsWith(".rotary_emb.inv_freq")) files.delete(name);
    const head = files.get(HEAD);
    if (config.tieWordEmbeddings) files.delete(HEAD);
    checkTensors(dir, config, files);
    if (config.tieWordEmbeddings && head !== undefined) {
      await checkTiedHead(dir, head, files.get(EMBEDDING)!);
    }
    return {
      config,
      names: parameterShapes(config).map(({ name }) => name),
      async readFloat32(name: string): Promise<Float32Array<ArrayBuffer>> {
        const file = files.get(name);
        if (file === undefined) throw new RangeError(`${dir}: the policy has no parameter ${name}`);
        const values = await file.readFloat32(name);
        const at = firstBeyond(values, Infinity);
        if (at >= 0) {
          throw new RangeError(`${file.path}: ${name} holds ${values[at]} at element ${at}`);
        }
        return values;
      },
      close,
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** {@linkcode loadCheckpoint} for as long as `use` takes. */
export async function withCheckpoint<T>(
  dir: string,
  use: (checkpoint: Checkpoint) => Promise<T>,
): Promise<T> {
  const checkpoint = await loadCheckpoint(dir);
  try {
    return await use(checkpoint);
  } finally {
    checkpoint.close();
  }
}

/**
 * Saves a policy as a Hugging Face checkpoint folder that other tools load.
 *
 * Writes model.safetensors, config.json and generation_config.json, in this order, each of them
 * atomically; a failure while weights are read leaves the folder as it was. With `"f32"` the
 * weights come back bit by bit.
 *
 * @param dir Folder to write; made where there is none.
 * @param config The policy's configuration.
 * @param parameters Every parameter of `parameterShapes(config)`; a function is asked for one at a
 * time, so that they need not all be in memory.
 * @throws {TypeError | RangeError} Naming the parameter that is missing, unexpected, of the wrong
 * size, not finite, or too large for the format.
 */
export async function saveCheckpoint(
  dir: string,
  config: PolicyConfig,
  parameters: ParameterSource,
  options: SaveCheckpointOptions = {},
): Promise<void> {
  checkNames("saveCheckpoint", options, ["dtype"]);
  const dtype = options.dtype ?? "f32";
  const format = FORMATS[dtype];
  if (format === undefined) {
    throw new TypeError(
      `dtype is ${JSON.stringify(dtype)}: use ${Object.keys(FORMATS).join(", ")}`,
    );
  }
  const { stored, torch } = format;
  const shapes = new Map(parameterShapes(config).map(({ name, shape }) => [name, shape]));
  if (typeof parameters !== "function") {
    const missing = [...shapes.keys()].filter((name) => !parameters.has(name));
    if (missing.length > 0) throw new RangeError(`${dir}: ${listSome(missing, "missing")}`);
    const unexpected = [...parameters.keys()].filter((name) => !shapes.has(name));
    if (unexpected.length > 0) {
      throw new RangeError(`${dir}: ${listSome(unexpected, "unexpected")}`);
    }
  }

  const read = async (name: string) => {
    const values = typeof parameters === "function"
      ? await parameters(name)
      : parameters.get(name)!;
    const shape = shapes.get(name)!;
    const size = elementCount(shape);
    if (values.length !== size) {
      throw new RangeError(`${dir}: ${name} has ${values.length} values: [${shape}] needs ${size}`);
    }
    const at = firstBeyond(values, OVERFLOW_FROM[stored]);
    if (at >= 0) {
      const hint = Number.isFinite(values[at]) ? `, beyond ${dtype}: save as f32` : "";
      throw new RangeError(`${dir}: ${name} holds ${values[at]} at element ${at}${hint}`);
    }
    return encodeFloats(values, stored);
  };

  await fs.mkdir(dir, { recursive: true });
  await writeSafetensors(
    join(dir, WEIGHTS),
    [...shapes].map(([name, shape]) => ({ name, dtype: stored, shape })),
    read,
    { format: "pt" },
  );
  for (
    const [file, contents] of [
      ["config.json", configToHuggingFace(config, torch)],
      // Loaders prefer it to config.json, so one from an earlier save must not stay.
      ["generation_config.json", generationConfigOf(config)],
    ] as const
  ) {
    await writeFileAtomic(join(dir, file), JSON.stringify(contents, null, 2) + "\n");
  }
}
