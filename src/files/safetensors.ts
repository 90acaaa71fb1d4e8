/**
 * Tensors in the safetensors format: encoded and decoded in memory, or written a tensor at a time.
 *
 * @example Store and read back one tensor
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const data = new Float32Array([1, 2, 3]);
 * const bytes = encodeSafetensors([["weight", { dtype: "F32", shape: [3], data }]]);
 * const { tensors } = decodeSafetensors(bytes);
 * assertEquals(tensors.get("weight")!.data, new Uint8Array(data.buffer));
 * ```
 *
 * @module
 */

import { createFileAtomic, writeAll } from "./atomic_file.ts";
import {
  parseHeader,
  readHeaderLength,
  type SafetensorsDtype,
  type SafetensorsInfo,
  type SafetensorsSpec,
} from "./safetensors_header.ts";
import { layoutTensors } from "./safetensors_layout.ts";

/** A tensor in memory. */
export interface SafetensorsTensor<Data extends ArrayBufferView = ArrayBufferView> {
  /** Element type. */
  readonly dtype: SafetensorsDtype;
  /** Dimensions, outermost first; empty for a single number. */
  readonly shape: readonly number[];
  /** The elements, little-endian, in row-major order. */
  readonly data: Data;
}

/** The contents of a safetensors file. */
export interface SafetensorsContents {
  /** Free text stored with the tensors. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor<Uint8Array>>;
}

/** The bytes behind a view, checked against the size the tensor needs. */
function bytesOf(data: ArrayBufferView, info: SafetensorsInfo): Uint8Array {
  const needed = info.end - info.begin;
  if (data.byteLength !== needed) {
    throw new RangeError(
      `tensor ${JSON.stringify(info.name)} is ${info.dtype} [${info.shape}] and needs ${needed} ` +
        `bytes: its data have ${data.byteLength}`,
    );
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * The bytes of a safetensors file. The same tensors give the same bytes, in whatever order.
 *
 * @param tensors Name and tensor pairs: a Map, or the entries of an object.
 * @param metadata Free text to store with them.
 * @throws {TypeError | RangeError} Naming the tensor whose name, shape or data do not fit.
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, SafetensorsTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const list = [...tensors];
  const layout = layoutTensors(
    list.map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    metadata,
  );
  const byName = new Map(list);
  const bytes = new Uint8Array(layout.prefix.length + layout.dataBytes);
  bytes.set(layout.prefix);
  for (const info of layout.tensors) {
    bytes.set(bytesOf(byName.get(info.name)!.data, info), layout.prefix.length + info.begin);
  }
  return bytes;
}

/**
 * Reads a safetensors file held in memory; the tensors are views of `bytes`.
 *
 * @param source What is read, for messages.
 * @throws {SyntaxError | TypeError | RangeError} Naming the source, the tensor and the damage.
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  source = "safetensors bytes",
): SafetensorsContents {
  const start = 8 + readHeaderLength(bytes, bytes.length, source);
  const header = parseHeader(bytes.subarray(8, start), bytes.length - start, source);
  const tensors = new Map<string, SafetensorsTensor<Uint8Array>>();
  for (const { name, dtype, shape, begin, end } of header.tensors.values()) {
    tensors.set(name, { dtype, shape, data: bytes.subarray(start + begin, start + end) });
  }
  return { metadata: header.metadata, tensors };
}

/**
 * Writes a safetensors file a tensor at a time, so that the tensors need not all be in memory.
 *
 * The file appears under its name only when complete and on disk; a failure leaves what was there.
 *
 * @param path Where to write.
 * @param specs Name, type and shape of every tensor.
 * @param read Gives the elements of one tensor; called once for each, in the order of the file.
 * @param metadata Free text to store with them.
 * @throws {TypeError | RangeError} Naming the tensor whose name, shape or data do not fit.
 */
export async function writeSafetensors(
  path: string,
  specs: Iterable<SafetensorsSpec>,
  read: (name: string) => ArrayBufferView | Promise<ArrayBufferView>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const layout = layoutTensors(specs, metadata);
  await createFileAtomic(path, async (file) => {
    await writeAll(file, layout.prefix, path);
    for (const info of layout.tensors) {
      await writeAll(file, bytesOf(await read(info.name), info), path);
    }
  });
}
