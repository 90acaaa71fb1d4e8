/**
 * The header of the safetensors format: which tensor lies where.
 *
 * A file is the header's length (8 bytes, little-endian), the header (JSON, padded with spaces),
 * and the tensors' bytes without gaps. Checks and byte layout follow the reference implementation
 * (https://github.com/huggingface/safetensors).
 *
 * @module
 */

import { isJsonObject } from "./json_file.ts";

/** Element type of a stored tensor. */
export type SafetensorsDtype =
  | "U64"
  | "I64"
  | "F64"
  | "F32"
  | "U32"
  | "I32"
  | "BF16"
  | "F16"
  | "U16"
  | "I16"
  | "I8"
  | "U8"
  | "BOOL";

/** Bytes of an element, in the order tensors are laid out: the largest alignment first. */
const DTYPE_BYTES: Readonly<Record<SafetensorsDtype, number>> = {
  U64: 8,
  I64: 8,
  F64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U16: 2,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Every element type, the largest alignment first. */
export const DTYPES = Object.keys(DTYPE_BYTES) as SafetensorsDtype[];

/** Longest header the reference implementation reads. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Name under which the header holds the metadata. */
export const METADATA_KEY = "__metadata__";

/** Name, element type and shape of a tensor to store. */
export interface SafetensorsSpec {
  /** Name, unique in the file. */
  readonly name: string;
  /** Element type. */
  readonly dtype: SafetensorsDtype;
  /** Dimensions, outermost first; empty for a single number. */
  readonly shape: readonly number[];
}

/** A stored tensor's place in the file. */
export interface SafetensorsInfo extends SafetensorsSpec {
  /** First byte, counted from the end of the header. */
  readonly begin: number;
  /** One past the last byte, counted from the end of the header. */
  readonly end: number;
}

/** A header that has been read and checked. */
export interface SafetensorsHeader {
  /** Free text stored with the tensors. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
  /** Length of the part behind the header. */
  readonly dataBytes: number;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Number of elements of a tensor; 1 for the empty shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** Bytes of a tensor, from its shape; `what` names it in errors. */
export function byteLength(
  what: string,
  dtype: SafetensorsDtype,
  shape: readonly number[],
): number {
  const bytes = DTYPE_BYTES[dtype] * elementCount(shape);
  if (!shape.every(isSize) || !isSize(bytes)) {
    throw new RangeError(
      `${what} has shape [${shape}]: dimensions have to be whole numbers of 0 or more, and ` +
        `the tensor smaller than 2^53 bytes`,
    );
  }
  return bytes;
}

/**
 * The header's length, from the first 8 bytes of a file.
 *
 * @param bytes The start of the file, at least 8 bytes where the file has them.
 * @param fileBytes Length of the whole file.
 * @param source What is read, for messages.
 * @throws {RangeError} If the file is too short or the length is beyond the file or the format.
 */
export function readHeaderLength(bytes: Uint8Array, fileBytes: number, source: string): number {
  if (fileBytes < 8 || bytes.length < 8) {
    throw new RangeError(
      `${source} is truncated: ${fileBytes} bytes, where a safetensors file starts with 8 ` +
        `bytes of header length`,
    );
  }
  const length = Number(
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true),
  );
  if (length > MAX_HEADER_BYTES) {
    throw new RangeError(
      `${source} is no safetensors file: its first 8 bytes give a header of ${length} bytes, ` +
        `at most ${MAX_HEADER_BYTES} are allowed`,
    );
  }
  if (length > fileBytes - 8) {
    throw new RangeError(
      `${source} is truncated: the header needs ${length} bytes, ${fileBytes - 8} are there`,
    );
  }
  return length;
}

/** Number of keys of the outermost object of valid JSON text, repeated ones included. */
function countKeys(json: string): number {
  let depth = 0;
  let keys = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token === ":" && depth === 1) keys++;
  }
  return keys;
}

function parseJson(bytes: Uint8Array, source: string): Record<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SyntaxError(`${source}: the safetensors header is not valid JSON: ${reason}`, {
      cause,
    });
  }
  if (!isJsonObject(json) || !text.startsWith("{")) {
    throw new SyntaxError(`${source}: the safetensors header is not a JSON object`);
  }
  if (countKeys(text) !== Object.keys(json).length) {
    throw new SyntaxError(`${source}: the safetensors header names a tensor twice`);
  }
  return json;
}

/** Checks free text: strings by name. */
export function parseMetadata(value: unknown, source: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isJsonObject(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw new TypeError(
      `${source}: ${METADATA_KEY} is ${JSON.stringify(value)}: an object of strings is needed`,
    );
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, entry: unknown, source: string): SafetensorsInfo {
  const what = `${source}: tensor ${JSON.stringify(name)}`;
  if (!isJsonObject(entry)) {
    throw new TypeError(`${what} is ${JSON.stringify(entry)}: dtype, shape, data_offsets needed`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!DTYPES.includes(dtype as SafetensorsDtype)) {
    throw new TypeError(
      `${what} has dtype ${JSON.stringify(dtype)}: supported are ${DTYPES.join(", ")}`,
    );
  }
  if (!Array.isArray(shape)) {
    throw new TypeError(`${what} has shape ${JSON.stringify(shape)}: a list is needed`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw new TypeError(
      `${what} has data_offsets ${JSON.stringify(offsets)}: two whole numbers of 0 or more needed`,
    );
  }
  const [begin, end] = offsets as [number, number];
  const bytes = byteLength(what, dtype as SafetensorsDtype, shape);
  if (end - begin !== bytes) {
    throw new RangeError(
      `${what} is ${dtype} [${shape}] and needs ${bytes} bytes, but data_offsets ` +
        `[${begin},${end}] give it ${end - begin}`,
    );
  }
  return { name, dtype: dtype as SafetensorsDtype, shape, begin, end };
}

/**
 * Reads and checks a header.
 *
 * The tensors have to fill the part behind the header exactly: no overlap, no hole, nothing
 * missing and nothing left over.
 *
 * @param bytes The header, without the 8 bytes of length before it.
 * @param dataBytes Length of the part behind it.
 * @param source What is read, for messages.
 * @throws {SyntaxError | TypeError | RangeError} Naming the source, the tensor and the damage.
 */
export function parseHeader(
  bytes: Uint8Array,
  dataBytes: number,
  source: string,
): SafetensorsHeader {
  const json = parseJson(bytes, source);
  const infos = Object.entries(json)
    .filter(([name]) => name !== METADATA_KEY)
    .map(([name, entry]) => parseEntry(name, entry, source))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let filled = 0;
  for (const { name, begin, end } of infos) {
    if (begin !== filled) {
      throw new RangeError(
        `${source}: tensor ${JSON.stringify(name)} begins at byte ${begin}, where the one before ` +
          `ends at ${filled}: tensors must neither overlap nor leave a hole`,
      );
    }
    filled = end;
  }
  if (filled > dataBytes) {
    throw new RangeError(
      `${source} is truncated: its tensors need ${filled} bytes, ${dataBytes} are there`,
    );
  }
  if (filled < dataBytes) {
    throw new RangeError(
      `${source} has ${dataBytes - filled} bytes behind its last tensor: none are allowed`,
    );
  }
  return {
    metadata: parseMetadata(json[METADATA_KEY], source),
    tensors: new Map(infos.map((info) => [info.name, info])),
    dataBytes,
  };
}
