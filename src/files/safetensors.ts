/**
 * Reading and writing tensors in the safetensors format, in memory or a tensor at a time.
 *
 * @example Store and read back one tensor
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const data = new Float32Array([1, 2, 3]);
 * const bytes = encodeSafetensors([["weight", { dtype: "F32", shape: [3], data }]]);
 * const { tensors } = decodeSafetensors(bytes);
 * assertEquals(tensorToFloat32(tensors.get("weight")!), data);
 * ```
 *
 * @module
 */

import { fs, type HostFile } from "../host/host.ts";
import { createFileAtomic, writeAll } from "./atomic_file.ts";
import { decodeFloats, FLOAT_BYTES, isFloatFormat } from "./float_formats.ts";
import {
  elementCount,
  layoutTensors,
  parseHeader,
  readHeaderLength,
  type SafetensorsDtype,
  type SafetensorsHeader,
  type SafetensorsInfo,
  type SafetensorsSpec,
} from "./safetensors_header.ts";

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

/** Bytes converted at a time where the stored format is not float32. */
const CHUNK_BYTES = 4 << 20;

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
 * A stored F32, F16, BF16 or F64 tensor as float32.
 *
 * @throws {TypeError} If the tensor holds whole numbers.
 */
export function tensorToFloat32(tensor: SafetensorsTensor<Uint8Array>): Float32Array<ArrayBuffer> {
  if (!isFloatFormat(tensor.dtype)) {
    throw new TypeError(
      `a tensor of ${tensor.dtype} is not read as float32: F32, F16, BF16, F64 are`,
    );
  }
  const out = new Float32Array(elementCount(tensor.shape));
  decodeFloats(tensor.data, tensor.dtype, out);
  return out;
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
    await writeAll(file, layout.prefix);
    for (const info of layout.tensors) await writeAll(file, bytesOf(await read(info.name), info));
  });
}

/**
 * A safetensors file open for reading, a tensor at a time.
 *
 * Reads may overlap: they take their turns.
 */
export class SafetensorsFile implements Disposable {
  /** Where the file lies. */
  readonly path: string;
  readonly #file: HostFile;
  readonly #header: SafetensorsHeader;
  readonly #dataStart: number;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    path: string,
    file: HostFile,
    header: SafetensorsHeader,
    dataStart: number,
  ) {
    this.path = path;
    this.#file = file;
    this.#header = header;
    this.#dataStart = dataStart;
  }

  /**
   * Opens a file and checks its header.
   *
   * @throws {Deno.errors.NotFound} If there is none.
   * @throws {SyntaxError | TypeError | RangeError} Naming the file, the tensor and the damage.
   */
  static async open(path: string): Promise<SafetensorsFile> {
    const file = await fs.open(path);
    try {
      const { size } = await file.stat();
      const first = new Uint8Array(Math.min(8, size));
      await readAt(file, 0, first, path);
      const header = new Uint8Array(readHeaderLength(first, size, path));
      await readAt(file, 8, header, path);
      const start = 8 + header.length;
      return new SafetensorsFile(path, file, parseHeader(header, size - start, path), start);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Names of the tensors, in the order of their bytes. */
  get names(): readonly string[] {
    return [...this.#header.tensors.keys()];
  }

  /** Free text stored with the tensors. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#header.metadata;
  }

  /** Whether the file has a tensor of this name. */
  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /**
   * Type, shape and place of a tensor.
   *
   * @throws {RangeError} If the file has none of this name.
   */
  info(name: string): SafetensorsInfo {
    const info = this.#header.tensors.get(name);
    if (info === undefined) {
      const names = this.names;
      throw new RangeError(
        `${this.path} has no tensor ${JSON.stringify(name)}: it has ${names.length}, ` +
          `${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`,
      );
    }
    return info;
  }

  /** The stored bytes of a tensor. */
  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { begin, end } = this.info(name);
    const bytes = new Uint8Array(end - begin);
    await this.#read(begin, bytes);
    return bytes;
  }

  /**
   * A stored F32, F16, BF16 or F64 tensor, or a part of it, as float32.
   *
   * @param name The tensor.
   * @param first First element to read, in row-major order.
   * @param count Number of elements, by default all from `first` on.
   * @throws {RangeError} If there is no such tensor or it has no such elements.
   * @throws {TypeError} If the tensor holds whole numbers.
   */
  async readFloat32(name: string, first = 0, count?: number): Promise<Float32Array<ArrayBuffer>> {
    const { dtype, shape, begin } = this.info(name);
    const size = elementCount(shape);
    count ??= size - first;
    if (
      !(Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 0 &&
        first + count <= size)
    ) {
      throw new RangeError(
        `${this.path}: elements ${first} to ${first + count} of ${name}, which has ${size}`,
      );
    }
    if (!isFloatFormat(dtype)) {
      throw new TypeError(
        `${this.path}: ${name} is ${dtype} and is not read as float32: F32, F16, BF16, F64 are`,
      );
    }
    const out = new Float32Array(count);
    const width = FLOAT_BYTES[dtype];
    const start = begin + first * width;
    if (dtype === "F32") {
      await this.#read(start, new Uint8Array(out.buffer));
      return out;
    }
    const step = CHUNK_BYTES / width;
    for (let at = 0; at < count; at += step) {
      const part = out.subarray(at, at + step);
      const bytes = new Uint8Array(part.length * width);
      await this.#read(start + at * width, bytes);
      decodeFloats(bytes, dtype, part);
    }
    return out;
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }

  /** Closes the file at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Fills `bytes` from `begin` behind the header, after the reads asked for before. */
  #read(begin: number, bytes: Uint8Array): Promise<void> {
    const read = () => readAt(this.#file, this.#dataStart + begin, bytes, this.path);
    // A read that failed has told its own caller.
    const result = this.#turn.then(read, read);
    this.#turn = result;
    return result;
  }
}

async function readAt(
  file: HostFile,
  position: number,
  bytes: Uint8Array,
  path: string,
): Promise<void> {
  await file.seek(position, 0);
  for (let at = 0; at < bytes.length;) {
    const n = await file.read(bytes.subarray(at));
    if (n === null) {
      throw new RangeError(
        `${path} is truncated: ${bytes.length} bytes expected at ${position}, ${at} read`,
      );
    }
    at += n;
  }
}
