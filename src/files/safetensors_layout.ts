/**
 * Where the tensors of a safetensors file to be written go, and its header.
 *
 * @module
 */

import {
  byteLength,
  DTYPES,
  MAX_HEADER_BYTES,
  METADATA_KEY,
  parseMetadata,
  type SafetensorsInfo,
  type SafetensorsSpec,
} from "./safetensors_header.ts";

/** A header ready to be written. */
export interface SafetensorsLayout {
  /** Everything before the tensors' bytes: length and padded JSON; a multiple of 8 long. */
  readonly prefix: Uint8Array<ArrayBuffer>;
  /** The tensors in the order their bytes follow. */
  readonly tensors: readonly SafetensorsInfo[];
  /** Length of the part behind the header. */
  readonly dataBytes: number;
}

/** Order of two strings by UTF-16 code unit, so that it depends on no locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Decides where each tensor goes and writes the header.
 *
 * The layout depends on names, types and shapes alone, not on the order they are given in:
 * larger alignments first, then by name; metadata by key; padding to a multiple of 8.
 *
 * @throws {TypeError | RangeError} On a repeated or reserved name, an unknown dtype, a bad shape,
 * metadata that are not strings, or a header longer than readers accept.
 */
export function layoutTensors(
  specs: Iterable<SafetensorsSpec>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  const header: [string, unknown][] = [];
  const checked = Object.entries(parseMetadata(metadata, "safetensors"));
  if (checked.length > 0) {
    header.push([METADATA_KEY, Object.fromEntries(checked.sort(([a], [b]) => compare(a, b)))]);
  }
  const names = new Set<string>([METADATA_KEY]);
  const tensors: SafetensorsInfo[] = [];
  let filled = 0;
  const ordered = [...specs].sort((a, b) =>
    DTYPES.indexOf(a.dtype) - DTYPES.indexOf(b.dtype) || compare(a.name, b.name)
  );
  for (const { name, dtype, shape } of ordered) {
    const what = `tensor ${JSON.stringify(name)}`;
    if (names.has(name)) {
      throw new TypeError(
        name === METADATA_KEY
          ? `${what}: this name is reserved for metadata`
          : `${what} is given twice`,
      );
    }
    if (!DTYPES.includes(dtype)) {
      throw new TypeError(`${what} has dtype ${JSON.stringify(dtype)}: use ${DTYPES.join(", ")}`);
    }
    names.add(name);
    const info = {
      name,
      dtype,
      shape: [...shape],
      begin: filled,
      end: filled + byteLength(what, dtype, shape),
    };
    filled = info.end;
    tensors.push(info);
    header.push([name, { dtype, shape: info.shape, data_offsets: [info.begin, info.end] }]);
  }
  // Written entry by entry: an object would move names such as "1" to the front.
  const json = `{${
    header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")
  }}`;
  const bytes = new TextEncoder().encode(json);
  const length = 8 * Math.ceil(bytes.length / 8);
  if (length > MAX_HEADER_BYTES) {
    throw new RangeError(
      `${tensors.length} tensors need a header of ${length} bytes: ${MAX_HEADER_BYTES} are allowed`,
    );
  }
  const prefix = new Uint8Array(8 + length).fill(0x20);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(length), true);
  prefix.set(bytes, 8);
  return { prefix, tensors, dataBytes: filled };
}
