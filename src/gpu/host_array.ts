/**
 * Values of tensors on the host.
 *
 * @module
 */

import { decodeFloats, encodeFloats, OVERFLOW_FROM } from "../files/float_formats.ts";
import { bytesOf, type DType, LARGEST_HALF, type Tensor } from "./tensor.ts";

/** A typed copy of a tensor's values, by its element type; those of `f16` and `bf16` come as float32. */
export type HostArray<D extends DType = DType> = D extends "u32" ? Uint32Array<ArrayBuffer>
  : D extends "i32" ? Int32Array<ArrayBuffer>
  : Float32Array<ArrayBuffer>;

/** What values of a type are held in on the host. */
function hostArrayType(dtype: DType) {
  return dtype === "u32" ? Uint32Array : dtype === "i32" ? Int32Array : Float32Array;
}

/** Zeros for the values of a tensor. */
export function zeros<D extends DType>(dtype: D, length: number): HostArray<D> {
  return new (hostArrayType(dtype))(length) as HostArray<D>;
}

/**
 * Values from the bytes of a tensor.
 *
 * @param bytes What was copied from the device.
 * @param byteOffset Where the values begin.
 * @param values Their type and number.
 */
export function fromBytes(
  bytes: ArrayBuffer,
  byteOffset: number,
  { dtype, length }: Pick<Tensor, "dtype" | "length">,
): HostArray {
  if (dtype === "f16") return new Float32Array(new Float16Array(bytes, byteOffset, length));
  if (dtype !== "bf16") return new (hostArrayType(dtype))(bytes, byteOffset, length);
  const values = new Float32Array(length);
  decodeFloats(new Uint8Array(bytes, byteOffset, 2 * length), "BF16", values);
  return values;
}

/**
 * The bytes that a tensor holds values as.
 *
 * @param tensor Where they will be written.
 * @param values The values.
 * @param elementOffset Where in the tensor they begin.
 * @throws {RangeError} If one is no number, no integer where the tensor holds integers, or infinite in `f16` or `bf16`
 * alone, or values of 16 bits do not fill whole words.
 */
export function toBytes(
  tensor: Tensor,
  values: ArrayLike<number>,
  elementOffset: number,
): HostArray | Float16Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  if (!ArrayBuffer.isView(values)) checkNumbers(tensor, values, elementOffset);
  if (tensor.dtype === "f16") return toHalves(tensor, values, elementOffset);
  if (tensor.dtype === "bf16") return toBfloats(tensor, values, elementOffset);
  const ArrayType = hostArrayType(tensor.dtype);
  return values instanceof ArrayType ? values as HostArray : ArrayType.from(values);
}

/** Integers that a type holds. */
const INTEGERS: Readonly<Partial<Record<DType, readonly [least: number, most: number]>>> = {
  u32: [0, 2 ** 32 - 1],
  i32: [-(2 ** 31), 2 ** 31 - 1],
};

/** Refuses what a typed array would make a number of: 0 of `null`, NaN of `undefined`, 2^32 - 1 of -1. */
function checkNumbers(
  { name, dtype }: Tensor,
  values: ArrayLike<unknown>,
  elementOffset: number,
): void {
  const range = INTEGERS[dtype];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    const fits = typeof value === "number" &&
      (!range || (Number.isInteger(value) && value >= range[0] && value <= range[1]));
    if (fits) continue;
    const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
    const holds = range ? `integers from ${range[0]} to ${range[1]}` : "numbers";
    throw new RangeError(
      `Cannot write ${shown} at ${elementOffset + i} of ${name}: ${dtype} holds ${holds}`,
    );
  }
}

/** Refuses values of 16 bits that share a word with others. */
function checkWholeWords(
  { name, dtype, capacity }: Tensor,
  elementOffset: number,
  length: number,
): void {
  const end = elementOffset + length;
  if (elementOffset % 2 !== 0 || (end % 2 !== 0 && end !== capacity)) {
    throw new RangeError(
      `Cannot write values ${elementOffset} to ${end} of ${name}: ${dtype} is written two at a time`,
    );
  }
}

/** Values as halves, in whole words. */
function toHalves(
  tensor: Tensor,
  values: ArrayLike<number>,
  elementOffset: number,
): Float16Array<ArrayBuffer> {
  checkWholeWords(tensor, elementOffset, values.length);
  const halves = new Float16Array(bytesOf(values.length, "f16") / 2);
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]!) > LARGEST_HALF) {
      throw new RangeError(
        `Cannot store ${values[i]} at ${elementOffset + i} of ${tensor.name}: f16 holds numbers ` +
          `from -${LARGEST_HALF} to ${LARGEST_HALF}; use dtype "f32"`,
      );
    }
  }
  halves.set(values);
  return halves;
}

/** Values as bfloat16, in whole words. */
function toBfloats(
  tensor: Tensor,
  values: ArrayLike<number>,
  elementOffset: number,
): Uint16Array<ArrayBuffer> {
  checkWholeWords(tensor, elementOffset, values.length);
  const padded = new Float32Array(bytesOf(values.length, "bf16") / 2);
  padded.set(values);
  const beyond = Array.prototype.findIndex.call(
    values,
    (value: number) =>
      Math.abs(value) >= OVERFLOW_FROM.BF16 && value !== Infinity && value !== -Infinity,
  );
  if (beyond >= 0) {
    throw new RangeError(
      `Cannot store ${values[beyond]} at ${elementOffset + beyond} of ${tensor.name}: bf16 ` +
        `holds magnitudes below ${OVERFLOW_FROM.BF16}; use dtype "f32"`,
    );
  }
  return new Uint16Array(encodeFloats(padded, "BF16").buffer);
}
