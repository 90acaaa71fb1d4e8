/**
 * Reading a safetensors file a tensor at a time.
 *
 * @module
 */

import { fs, type HostFile } from "../host/host.ts";
import { decodeFloats, FLOAT_BYTES, isFloatFormat } from "./float_formats.ts";
import {
  elementCount,
  parseHeader,
  readHeaderLength,
  type SafetensorsHeader,
  type SafetensorsInfo,
} from "./safetensors_header.ts";

/** Bytes converted at a time where the stored format is not float32. */
const CHUNK_BYTES = 4 << 20;

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

  private constructor(path: string, file: HostFile, header: SafetensorsHeader, dataStart: number) {
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
