/**
 * The weights of a Hugging Face checkpoint folder: which file holds which tensor.
 *
 * @module
 */

import { errors } from "../host/host.ts";
import { join } from "../host/paths.ts";
import { fileExists, isJsonObject, readJsonObject } from "../files/json_file.ts";
import { SafetensorsFile } from "../files/safetensors_file.ts";

/** Name of the file that holds all weights. */
export const WEIGHTS = "model.safetensors";

/** Name of the list of shards, where the weights lie in several files. */
export const INDEX = "model.safetensors.index.json";

/** Open weights. */
export interface OpenWeights {
  /** The file that holds each tensor. */
  readonly files: ReadonlyMap<string, SafetensorsFile>;
  /** Closes the files. */
  close(): void;
}

/** How many tensors, and the first few of them by name: `3 tensors missing: a, b, c`. */
export function listSome(names: readonly string[], what: string): string {
  const shown = names.slice(0, 4).join(", ");
  const tensors = names.length === 1 ? "tensor" : "tensors";
  return `${names.length} ${tensors} ${what}: ${shown}${names.length > 4 ? ", …" : ""}`;
}

/** Index of the first value that is a NaN or whose magnitude reaches `limit`; -1 if there is none. */
export function firstBeyond(values: Float32Array, limit: number): number {
  // A loop: findIndex costs seconds on a large embedding.
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i]!) < limit)) return i;
  return -1;
}

/** Which file holds which tensor, as an index of shards says. */
async function readIndex(path: string): Promise<Map<string, string>> {
  const { weight_map: map } = await readJsonObject(path);
  if (!isJsonObject(map) || Object.keys(map).length === 0) {
    throw new TypeError(`${path}: weight_map is ${JSON.stringify(map)}: an object is needed`);
  }
  const shards = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || shard === "" || /[/\\]/.test(shard) || shard === "..") {
      throw new TypeError(
        `${path}: ${name} is in ${JSON.stringify(shard)}: the name of a file beside it is needed`,
      );
    }
    shards.set(name, shard);
  }
  return shards;
}

/** Opens the shards of an index, adding each file to `opened`. */
async function openShards(
  dir: string,
  opened: SafetensorsFile[],
): Promise<Map<string, SafetensorsFile>> {
  const index = await readIndex(join(dir, INDEX));
  const files = new Map<string, SafetensorsFile>();
  for (const shard of new Set(index.values())) {
    const placed = [...index].filter(([, file]) => file === shard).map(([name]) => name);
    const path = join(dir, shard);
    if (!await fileExists(path)) {
      throw new errors.NotFound(
        `${dir} has no ${shard}, where ${INDEX} places ${listSome(placed, "of the policy")}`,
      );
    }
    const file = await SafetensorsFile.open(path);
    opened.push(file);
    const lost = placed.filter((name) => !file.has(name));
    if (lost.length > 0) {
      throw new RangeError(`${path}: ${listSome(lost, `that ${INDEX} places there missing`)}`);
    }
    const extra = file.names.filter((name) => index.get(name) !== shard);
    if (extra.length > 0) {
      throw new RangeError(`${path}: ${listSome(extra, `that ${INDEX} does not place there`)}`);
    }
    for (const name of placed) files.set(name, file);
  }
  return files;
}

/**
 * Opens `model.safetensors`, or the shards listed by `model.safetensors.index.json`.
 *
 * Where a folder has both, the single file is taken, as transformers does.
 *
 * @throws {Deno.errors.NotFound} If the folder has neither, or lacks a shard.
 * @throws {SyntaxError | TypeError | RangeError} Naming the file and tensors that are damaged or
 * not where the index places them.
 */
export async function openWeights(dir: string): Promise<OpenWeights> {
  const opened: SafetensorsFile[] = [];
  const close = () => opened.forEach((file) => file.close());
  try {
    if (await fileExists(join(dir, WEIGHTS))) {
      const file = await SafetensorsFile.open(join(dir, WEIGHTS));
      opened.push(file);
      return { files: new Map(file.names.map((name) => [name, file])), close };
    }
    if (await fileExists(join(dir, INDEX))) return { files: await openShards(dir, opened), close };
  } catch (error) {
    close();
    throw error;
  }
  const hint = await fileExists(join(dir, "pytorch_model.bin"))
    ? "convert its pytorch_model.bin to safetensors"
    : "give the folder of a Hugging Face checkpoint";
  throw new errors.NotFound(`${dir} has neither ${WEIGHTS} nor ${INDEX}: ${hint}`);
}
