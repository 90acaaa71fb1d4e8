import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  decodeFloats,
  encodeFloats,
  OVERFLOW_FROM,
  type StoredFloatFormat,
} from "../../src/files/float_formats.ts";
import { uniformStream } from "../helpers/random.ts";

/** The value of a 16-bit float by its definition: sign, exponent bits, mantissa bits. */
function valueOf(bits: number, mantissaBits: number): number {
  const bias = 2 ** (14 - mantissaBits) - 1;
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> mantissaBits;
  const mantissa = (bits & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  if (exponent === 2 * bias + 1) return mantissa === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * mantissa * 2 ** (1 - bias)
    : sign * (1 + mantissa) * 2 ** (exponent - bias);
}

const MANTISSA_BITS = { BF16: 7, F16: 10 } as const;

function decode(halves: Uint16Array, format: "BF16" | "F16"): Float32Array<ArrayBuffer> {
  const out = new Float32Array(halves.length);
  decodeFloats(new Uint8Array(halves.buffer), format, out);
  return out;
}

for (const format of ["BF16", "F16"] as const) {
  const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

  Deno.test(`every ${format} decodes to the value of its bits`, () => {
    // Value by value: NaNs of different bits are equal here.
    decode(all, format).forEach((value, bits) =>
      assertEquals(value, valueOf(bits, MANTISSA_BITS[format]))
    );
  });

  Deno.test(`every ${format} comes back from float32`, () => {
    const back = new Uint16Array(encodeFloats(decode(all, format), format).buffer);
    for (const bits of all) {
      const value = valueOf(bits, MANTISSA_BITS[format]);
      // Which of the NaNs comes back is the platform's choice.
      if (Number.isNaN(value)) assertEquals(valueOf(back[bits]!, MANTISSA_BITS[format]), NaN);
      else assertEquals(back[bits], bits);
    }
  });

  Deno.test(`float32 is rounded to the nearest ${format}, ties to even`, () => {
    const next = uniformStream(7);
    const values: number[] = [];
    for (let i = 0; i < 2000; i++) {
      const low = Math.floor(next() * (valueBits(format) - 1));
      const [a, b] = [valueOf(low, MANTISSA_BITS[format]), valueOf(low + 1, MANTISSA_BITS[format])];
      values.push(a + (b - a) * next(), (a + b) / 2, -(a + b) / 2);
    }
    const inputs = Float32Array.from(values);
    const stored = new Uint16Array(encodeFloats(inputs, format).buffer);
    inputs.forEach((value, i) => {
      const bits = stored[i]! & 0x7fff;
      const error = Math.abs(valueOf(bits, MANTISSA_BITS[format]) - Math.abs(value));
      for (const neighbour of [bits - 1, bits + 1]) {
        if (neighbour < 0) continue;
        const other = Math.abs(valueOf(neighbour, MANTISSA_BITS[format]) - Math.abs(value));
        if (error > other || (error === other && bits % 2 === 1)) {
          throw new Error(`${value} became ${bits}, but ${neighbour} is nearer or even`);
        }
      }
      assertEquals(stored[i]! >> 15, value < 0 || Object.is(value, -0) ? 1 : 0);
    });
  });

  Deno.test(`a NaN stays a NaN in ${format}, even with its mantissa in the low bits`, () => {
    const nan = new Float32Array(new Uint32Array([0x7f800001, 0xff800001, 0x7fffffff]).buffer);
    const back = decode(new Uint16Array(encodeFloats(nan, format).buffer), format);
    assertEquals([...back], [NaN, NaN, NaN]);
  });
}

/** Bits of the largest finite value of a format. */
function valueBits(format: "BF16" | "F16"): number {
  return format === "BF16" ? 0x7f7f : 0x7bff;
}

Deno.test("overflow to infinity starts where it is said to", () => {
  for (const format of ["BF16", "F16"] as const) {
    const from = OVERFLOW_FROM[format];
    const below = new Float32Array([from]);
    new Uint32Array(below.buffer)[0]! -= 1;
    const back = decode(
      new Uint16Array(encodeFloats(Float32Array.of(from, below[0]!), format).buffer),
      format,
    );
    assertEquals([...back], [Infinity, valueOf(valueBits(format), MANTISSA_BITS[format])]);
  }
  assertEquals(OVERFLOW_FROM.F32, Infinity);
});

Deno.test("F64 is rounded to float32 and F32 is copied bit by bit", () => {
  const doubles = Float64Array.of(Math.PI, -1e-300, 1e300, 0.1);
  const out = new Float32Array(4);
  decodeFloats(new Uint8Array(doubles.buffer), "F64", out);
  assertEquals([...out], [Math.fround(Math.PI), -0, Infinity, Math.fround(0.1)]);

  const bits = Uint32Array.of(0x00000001, 0x80000000, 0x7f7fffff, 0x3f800001);
  decodeFloats(encodeFloats(new Float32Array(bits.buffer), "F32"), "F32", out);
  assertEquals(new Uint32Array(out.buffer), bits);
});

Deno.test("bytes at odd addresses are read", () => {
  for (const format of ["F64", "F32", "BF16", "F16"] as const) {
    const stored = format === "F64"
      ? new Uint8Array(Float64Array.of(1.5, -2).buffer)
      : encodeFloats(Float32Array.of(1.5, -2), format satisfies StoredFloatFormat);
    const shifted = new Uint8Array(stored.length + 1);
    shifted.set(stored, 1);
    const out = new Float32Array(2);
    decodeFloats(shifted.subarray(1), format, out);
    assertEquals([...out], [1.5, -2]);
  }
});

Deno.test("a view into a larger array is encoded alone", () => {
  const values = Float32Array.of(9, 1.5, -2, 9).subarray(1, 3);
  for (const format of ["F32", "BF16", "F16"] as const) {
    const out = new Float32Array(2);
    decodeFloats(encodeFloats(values, format), format, out);
    assertAlmostEquals(out[0]!, 1.5);
    assertAlmostEquals(out[1]!, -2);
  }
});

Deno.test("a wrong number of bytes is refused", () => {
  assertThrows(
    () => decodeFloats(new Uint8Array(6), "F32", new Float32Array(2)),
    RangeError,
    "6 bytes of F32 for 2 values: 8 bytes are needed",
  );
});
