/** Numbers of 16 bits, on the host. */

/** What rounds to 16 bits. */
export type HalfDType = "f16" | "bf16";

/** Bits of the significand, the leading one included: numbers are exact to 2^-bits. */
export const SIGNIFICAND: Readonly<Record<HalfDType, number>> = { f16: 11, bf16: 8 };

/** Numbers rounded to the nearest that 16 bits hold, ties to even. */
export function asHalves(values: ArrayLike<number>, dtype: HalfDType): Float32Array<ArrayBuffer> {
  if (dtype === "f16") return Float32Array.from(Float16Array.from(values));
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  for (const [i, word] of bits.entries()) {
    const dropped = word & 0xffff;
    const kept = word - dropped;
    const up = dropped > 0x8000 || (dropped === 0x8000 && (word & 0x10000) !== 0);
    bits[i] = kept + (up ? 0x10000 : 0);
  }
  return new Float32Array(bits.buffer);
}
