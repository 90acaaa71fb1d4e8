/**
 * Conversion between float32 and the float formats checkpoints are stored in.
 *
 * Bytes are little-endian, as in every file read here and on every platform Deno runs on.
 *
 * @module
 */

/** Float formats that can be read as float32. */
export type FloatFormat = "F64" | "F32" | "BF16" | "F16";

/** Float formats that float32 values can be written in. */
export type StoredFloatFormat = Exclude<FloatFormat, "F64">;

/** Bytes of one value in each format. */
export const FLOAT_BYTES: Readonly<Record<FloatFormat, number>> = {
  F64: 8,
  F32: 4,
  BF16: 2,
  F16: 2,
};

/** Smallest magnitude that is rounded to infinity in each format. */
export const OVERFLOW_FROM: Readonly<Record<StoredFloatFormat, number>> = {
  F32: Infinity,
  BF16: (2 - 2 ** -8) * 2 ** 127,
  F16: (2 - 2 ** -11) * 2 ** 15,
};

/** Whether a dtype name is one of the {@linkcode FloatFormat}s. */
export function isFloatFormat(dtype: string): dtype is FloatFormat {
  return Object.hasOwn(FLOAT_BYTES, dtype);
}

/** A view of `bytes` that may be reinterpreted as elements of `size` bytes. */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

/**
 * Widens (or, from F64, rounds) stored values to float32.
 *
 * @param bytes The stored values.
 * @param format Their format.
 * @param out Receives them, one per stored value.
 * @throws {RangeError} If `out` has another number of values than `bytes`.
 */
export function decodeFloats(bytes: Uint8Array, format: FloatFormat, out: Float32Array): void {
  const size = FLOAT_BYTES[format];
  if (bytes.byteLength !== out.length * size) {
    throw new RangeError(
      `${bytes.byteLength} bytes of ${format} for ${out.length} values: ` +
        `${out.length * size} bytes are needed`,
    );
  }
  const { buffer, byteOffset } = aligned(bytes, size);
  switch (format) {
    case "F32":
      out.set(new Float32Array(buffer, byteOffset, out.length));
      break;
    case "F64":
      out.set(new Float64Array(buffer, byteOffset, out.length));
      break;
    case "F16":
      out.set(new Float16Array(buffer, byteOffset, out.length));
      break;
    case "BF16": {
      // A bfloat16 is the upper half of a float32.
      const halves = new Uint16Array(buffer, byteOffset, out.length);
      const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
      for (let i = 0; i < bits.length; i++) bits[i] = halves[i]! << 16;
    }
  }
}

/** Rounds float32 bit patterns to bfloat16, ties to even; a NaN stays one. */
function roundToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!;
    const isNaN = (b & 0x7fffffff) > 0x7f800000;
    halves[i] = isNaN ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return halves;
}

/**
 * Stores float32 values in another format, rounding to nearest, ties to even.
 *
 * Magnitudes from {@linkcode OVERFLOW_FROM} on become infinite. With F32 the result shares memory with `values`.
 */
export function encodeFloats(
  values: Float32Array<ArrayBuffer>,
  format: StoredFloatFormat,
): Uint8Array<ArrayBuffer> {
  const stored = format === "F32"
    ? values
    : format === "F16"
    ? new Float16Array(values)
    : roundToBfloat16(values);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}
