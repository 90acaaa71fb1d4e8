import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsTensor,
  writeSafetensors,
} from "../../src/files/safetensors.ts";
import { SafetensorsFile } from "../../src/files/safetensors_file.ts";
import type { SafetensorsDtype } from "../../src/files/safetensors_header.ts";
import { type FixtureTensor, handmadeSafetensors } from "../fixtures/make_checkpoints.ts";
import { uniformStream } from "../helpers/random.ts";
import { readSafetensors } from "../helpers/safetensors.ts";
import { test } from "../helpers/test.ts";

const FIXTURE = new URL("../fixtures/tiny-qwen2/model.safetensors", import.meta.url);

/** A file with any header and any bytes behind it. */
function rawFile(header: string | Uint8Array, data: Uint8Array = new Uint8Array()): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** Bytes that the reference implementation (safetensors 0.8.0 for Python) writes for `SAMPLE`. */
const SAMPLE_HEADER = '{"__metadata__":{"format":"pt"},' +
  '"l":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},' +
  '"z":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},' +
  '"c":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},' +
  '"b":{"dtype":"F32","shape":[2],"data_offsets":[24,32]},' +
  '"e":{"dtype":"F32","shape":[0,3],"data_offsets":[32,32]},' +
  '"u":{"dtype":"U32","shape":[1],"data_offsets":[32,36]},' +
  '"s":{"dtype":"I32","shape":[],"data_offsets":[36,40]},' +
  '"a":{"dtype":"F16","shape":[2],"data_offsets":[40,44]},' +
  '"k":{"dtype":"U16","shape":[1],"data_offsets":[44,46]},' +
  '"h":{"dtype":"I16","shape":[1],"data_offsets":[46,48]},' +
  '"i":{"dtype":"I8","shape":[1],"data_offsets":[48,49]},' +
  '"x":{"dtype":"U8","shape":[1],"data_offsets":[49,50]},' +
  '"y":{"dtype":"BOOL","shape":[1],"data_offsets":[50,51]}}';
const SAMPLE_DATA = "0200000000000000" + "0700000000000000" + "000000000000e03f" +
  "0000803f00000040" + "09000000" + "fdffffff" + "003c0040" + "0200" + "feff" + "fe" + "05" + "01";
const SAMPLE: [string, SafetensorsTensor][] = [
  ["a", { dtype: "F16", shape: [2], data: new Float16Array([1, 2]) }],
  ["b", { dtype: "F32", shape: [2], data: new Float32Array([1, 2]) }],
  ["c", { dtype: "F64", shape: [1], data: new Float64Array([0.5]) }],
  ["e", { dtype: "F32", shape: [0, 3], data: new Float32Array() }],
  ["h", { dtype: "I16", shape: [1], data: new Int16Array([-2]) }],
  ["i", { dtype: "I8", shape: [1], data: new Int8Array([-2]) }],
  ["k", { dtype: "U16", shape: [1], data: new Uint16Array([2]) }],
  ["l", { dtype: "U64", shape: [1], data: new BigUint64Array([2n]) }],
  ["s", { dtype: "I32", shape: [], data: new Int32Array([-3]) }],
  ["u", { dtype: "U32", shape: [1], data: new Uint32Array([9]) }],
  ["x", { dtype: "U8", shape: [1], data: new Uint8Array([5]) }],
  ["y", { dtype: "BOOL", shape: [1], data: new Uint8Array([1]) }],
  ["z", { dtype: "I64", shape: [1], data: new BigInt64Array([7n]) }],
];

function sampleBytes(): Uint8Array {
  return rawFile(SAMPLE_HEADER.padEnd(744), Uint8Array.fromHex(SAMPLE_DATA));
}

Deno.test("encodes to the bytes of the reference implementation, in whatever order", () => {
  assertEquals(encodeSafetensors(SAMPLE, { format: "pt" }), sampleBytes());
  assertEquals(encodeSafetensors(SAMPLE.toReversed(), { format: "pt" }), sampleBytes());
  assertEquals(encodeSafetensors([]), rawFile("{}      "));
  assertEquals(
    encodeSafetensors(
      [['n\u00e9"\n', { dtype: "F32", shape: [1], data: Float32Array.of(1) }]],
      { b: "1", a: "2" },
    ),
    rawFile(
      '{"__metadata__":{"a":"2","b":"1"},"n\u00e9\\"\\n":{"dtype":"F32","shape":[1],' +
        '"data_offsets":[0,4]}}   ',
      Uint8Array.of(0, 0, 0x80, 0x3f),
    ),
  );
});

Deno.test("decodes the bytes of the reference implementation", () => {
  const { metadata, tensors } = decodeSafetensors(sampleBytes());
  assertEquals(metadata, { format: "pt" });
  assertEquals([...tensors.keys()].sort(), SAMPLE.map(([name]) => name));
  for (const [name, { dtype, shape, data }] of SAMPLE) {
    const tensor = tensors.get(name)!;
    assertEquals({ dtype: tensor.dtype, shape: tensor.shape }, { dtype, shape });
    assertEquals(tensor.data.toHex(), new Uint8Array(data.buffer).toHex());
  }
});

/** Types by the bytes of an element. */
const WIDTHS: readonly (readonly [width: number, ...types: SafetensorsDtype[]])[] = [
  [8, "U64", "I64", "F64"],
  [4, "F32", "U32", "I32"],
  [2, "BF16", "F16", "U16", "I16"],
  [1, "I8", "U8", "BOOL"],
];

/** Some tensors of random names, types, shapes and bytes. */
function randomTensors(next: () => number): [string, SafetensorsTensor<Uint8Array>][] {
  const int = (bound: number) => Math.floor(next() * bound);
  const names = [
    "a",
    "1",
    "0",
    "__proto__",
    "\u{1f600}",
    "é",
    'q"\\',
    "model.x",
    "A",
    "",
    "\u0001",
  ];
  return names.filter(() => next() < 0.5).map((name) => {
    const all = WIDTHS.flatMap(([width, ...types]) => types.map((type) => [type, width] as const));
    const [dtype, width] = all[int(all.length)]!;
    const shape = Array.from({ length: int(4) }, () => int(5));
    const size = shape.reduce((total, n) => total * n, width);
    return [name, { dtype, shape, data: Uint8Array.from({ length: size }, () => int(256)) }];
  });
}

test.inDir("any tensors come back, in memory and through a file", async (dir) => {
  const next = uniformStream(11);
  for (let i = 0; i < 60; i++) {
    const tensors = randomTensors(next);
    const metadata: Record<string, string> = next() < 0.5 ? {} : { "1": "x", note: "ä\n" };
    const bytes = encodeSafetensors(tensors, metadata);
    assertEquals((bytes.length - dataBytes(tensors)) % 8, 0);
    const back = decodeSafetensors(bytes);
    assertEquals(back.metadata, metadata);
    assertEquals(new Map([...back.tensors].sort()), new Map(tensors.toSorted()));

    const path = join(dir, "x.safetensors");
    const byName = new Map(tensors);
    await writeSafetensors(
      path,
      tensors.map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
      (name) => Promise.resolve(byName.get(name)!.data),
      metadata,
    );
    assertEquals(await Deno.readFile(path), bytes);
    using file = await SafetensorsFile.open(path);
    assertEquals(file.names, [...back.tensors.keys()]);
    assertEquals(file.metadata, metadata);
    // All at once: reads of one file take their turns.
    await Promise.all(tensors.map(async ([name, { dtype, shape, data }]) => {
      const info = file.info(name);
      assertEquals([info.name, info.dtype, info.shape], [name, dtype, shape]);
      assertEquals(await file.readBytes(name), data);
    }));
  }
});

function dataBytes(tensors: [string, SafetensorsTensor][]): number {
  return tensors.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
}

test.inDir("float types are read as float32", async (dir) => {
  const values = Float32Array.of(1.5, -0.25, 0, 3, -2, 0.5);
  const list = (["F16", "BF16", "F64", "F32"] as const).map((dtype): FixtureTensor => ({
    name: dtype,
    dtype,
    shape: [2, 3],
    values,
  }));
  const path = join(dir, "floats.safetensors");
  await Deno.writeFile(path, handmadeSafetensors(list));
  using file = await SafetensorsFile.open(path);
  assertEquals(file.metadata, { made: "by hand" });
  for (const { name } of list) {
    assertEquals(await file.readFloat32(name), values);
    assertEquals(await file.readFloat32(name, 1, 3), values.slice(1, 4));
    assertEquals(await file.readFloat32(name, 4), values.slice(4));
    assertEquals(await file.readFloat32(name, 6), new Float32Array());
    for (const [first, count] of [[-1, 1], [0, 7], [7, 0], [0.5, 1], [NaN, 1]] as const) {
      await assertRejects(() => file.readFloat32(name, first, count), RangeError, "which has 6");
    }
  }
});

test.inDir("a float tensor longer than one converted chunk is read whole", async (dir) => {
  const path = join(dir, "long.safetensors");
  // bfloat16 of 5 million values is two chunks and a part of a third.
  const halves = Uint16Array.from({ length: 5_000_000 }, (_, i) => (i * 31) % 0x7f80);
  await writeSafetensors(path, [{ name: "w", dtype: "BF16", shape: [5_000_000] }], () => halves);
  using file = await SafetensorsFile.open(path);
  const bits = new Uint32Array((await file.readFloat32("w")).buffer);
  assertEquals(bits.findIndex((value, i) => value !== halves[i]! << 16), -1);
});

Deno.test("the stored checkpoint is read as another reader reads it", async () => {
  const expected = readSafetensors(FIXTURE);
  using file = await SafetensorsFile.open(FIXTURE.pathname);
  assertEquals([...file.names].sort(), [...expected.keys()].sort());
  for (const [name, { shape, data }] of expected) {
    assertEquals(file.info(name).shape, shape);
    assertEquals(await file.readFloat32(name), Float32Array.from(data));
  }
});

test.inDir("whole numbers are not read as float32, and unknown names are named", async (dir) => {
  const path = join(dir, "x.safetensors");
  await Deno.writeFile(path, sampleBytes());
  using file = await SafetensorsFile.open(path);
  await assertRejects(() => file.readFloat32("z"), TypeError, "z is I64 and is not read as");
  assertThrows(() => file.info("weight"), RangeError, 'has no tensor "weight": it has 13, l, z');
  assert(file.has("z") && !file.has("weight"));
});

const entry = (dtype: unknown, shape: unknown, offsets: unknown) =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });
const F32 = (begin: number, end: number) => entry("F32", [(end - begin) / 4], [begin, end]);

/** Damaged files: what, header, bytes behind it, and part of the message. */
const DAMAGED: [string, string, number, string][] = [
  ["nothing", "", 0, "the safetensors header is not valid JSON"],
  ["no JSON", "x", 0, "the safetensors header is not valid JSON"],
  ["unfinished JSON", '{"a":', 0, "is not valid JSON"],
  ["a list", "[]", 0, "is not a JSON object"],
  ["null", "null", 0, "is not a JSON object"],
  ["a space before it", " {}", 0, "is not a JSON object"],
  ["a name twice", `{"a":${F32(0, 4)},"a":${F32(0, 4)}}`, 4, "names a tensor twice"],
  ["a name twice, escaped", `{"a":${F32(0, 0)},"\\u0061":${F32(0, 0)}}`, 0, "a tensor twice"],
  ["a tensor that is a number", '{"a":3}', 0, 'tensor "a" is 3: dtype, shape, data_offsets'],
  ["no dtype", `{"a":{"shape":[],"data_offsets":[0,0]}}`, 0, 'tensor "a" has dtype undefined'],
  ["an unknown dtype", `{"a":${entry("F7", [1], [0, 4])}}`, 4, 'dtype "F7": supported are U64'],
  ["an inherited dtype", `{"a":${entry("toString", [1], [0, 4])}}`, 4, 'dtype "toString"'],
  ["a shape that is a number", `{"a":${entry("F32", 1, [0, 4])}}`, 4, "has shape 1: a list"],
  ["a negative dimension", `{"a":${entry("F32", [-1, -1], [0, 4])}}`, 4, "shape [-1,-1]"],
  ["half a dimension", `{"a":${entry("F32", [0.5, 2], [0, 4])}}`, 4, "shape [0.5,2]"],
  ["a dimension as text", `{"a":${entry("F32", ["1"], [0, 4])}}`, 4, "dimensions have to be"],
  ["an enormous shape", `{"a":${entry("F32", [1e9, 1e9], [0, 4])}}`, 4, "smaller than 2^53"],
  ["one offset", `{"a":${entry("F32", [1], [0])}}`, 4, "has data_offsets [0]: two whole numbers"],
  ["no offsets", `{"a":{"dtype":"F32","shape":[1]}}`, 4, "has data_offsets undefined"],
  ["a negative offset", `{"a":${entry("F32", [1], [-4, 0])}}`, 4, "has data_offsets [-4,0]"],
  ["reversed offsets", `{"a":${entry("F32", [1], [4, 0])}}`, 4, "needs 4 bytes, but data_offsets"],
  ["a shape too large", `{"a":${entry("F32", [2], [0, 4])}}`, 4, "F32 [2] and needs 8 bytes"],
  ["a dtype too small", `{"a":${entry("F16", [1], [0, 4])}}`, 4, "needs 2 bytes"],
  ["overlap", `{"a":${F32(0, 8)},"b":${F32(4, 12)}}`, 12, 'tensor "b" begins at byte 4'],
  ["the same bytes twice", `{"a":${F32(0, 4)},"b":${F32(0, 4)}}`, 4, "neither overlap nor"],
  ["a hole", `{"a":${F32(0, 4)},"b":${F32(8, 12)}}`, 12, 'tensor "b" begins at byte 8'],
  ["a hole at the start", `{"a":${F32(4, 8)}}`, 8, "the one before ends at 0"],
  ["a tensor beyond the end", `{"a":${F32(0, 8)}}`, 7, "is truncated: its tensors need 8 bytes"],
  ["bytes left over", `{"a":${F32(0, 4)}}`, 6, "has 2 bytes behind its last tensor"],
  ["metadata of numbers", '{"__metadata__":{"a":1}}', 0, '__metadata__ is {"a":1}'],
  ["metadata null", '{"__metadata__":null}', 0, "__metadata__ is null: an object of strings"],
];

for (const [what, header, length, message] of DAMAGED) {
  test.inDir(`refuses a file whose header has ${what}`, async (dir) => {
    const bytes = rawFile(header, new Uint8Array(length));
    assertThrows(() => decodeSafetensors(bytes, "here"), Error, message);
    const error = assertThrows(() => decodeSafetensors(bytes, "here"), Error);
    assert(error.message.startsWith("here"), error.message);
    const path = join(dir, "damaged.safetensors");
    await Deno.writeFile(path, bytes);
    // The sanitizer of resources sees to it that the file was closed.
    const fromFile = await assertRejects(() => SafetensorsFile.open(path), Error, message);
    assert(fromFile.message.startsWith(path), fromFile.message);
  });
}

Deno.test("refuses a header of broken UTF-8", () => {
  const header = Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x33, 0x7d);
  assertThrows(() => decodeSafetensors(rawFile(header)), SyntaxError, "is not valid JSON");
});

Deno.test("refuses a header length beyond the file, the format, or 2^53", () => {
  const cases = [
    [3n, "is truncated: the header needs 3 bytes, 2 are there"],
    [100_000_001n, "is no safetensors file: its first 8 bytes give a header of 100000001 bytes"],
    [2n ** 64n - 1n, "is no safetensors file"],
  ] as const;
  for (const [length, message] of cases) {
    const bytes = rawFile("{}");
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    assertThrows(() => decodeSafetensors(bytes), RangeError, message);
  }
});

test.inDir("a file cut off anywhere is refused as truncated or damaged", async (dir) => {
  const path = join(dir, "cut.safetensors");
  const bytes = sampleBytes();
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    const error = assertThrows(() => decodeSafetensors(cut, path), RangeError);
    assert(error.message.startsWith(`${path} is truncated:`), `${length}: ${error.message}`);
    if (length % 7 !== 0) continue;
    await Deno.writeFile(path, cut);
    const fromFile = await assertRejects(() => SafetensorsFile.open(path), RangeError);
    assertEquals(fromFile.message, error.message);
  }
});

test.inDir("a file cut off after it was opened is refused when read", async (dir) => {
  const path = join(dir, "cut.safetensors");
  await Deno.copyFile(FIXTURE, path);
  using file = await SafetensorsFile.open(path);
  await Deno.truncate(path, 50_000);
  const results = await Promise.allSettled(file.names.map((name) => file.readFloat32(name)));
  assertEquals(results.at(0)!.status, "fulfilled");
  const last = results.at(-1)!;
  assert(last.status === "rejected");
  assert(`${last.reason}`.includes(`${path} is truncated:`), `${last.reason}`);
  // One failure does not spoil the reads after it.
  await file.readFloat32(file.names[0]!);
});

Deno.test("a damaged byte of the header never gives a tensor outside the file or a crash", () => {
  const next = uniformStream(5);
  const good = sampleBytes();
  let refused = 0;
  for (let i = 0; i < 4000; i++) {
    const bytes = good.slice();
    for (let n = 1 + Math.floor(next() * 3); n > 0; n--) {
      bytes[Math.floor(next() * (8 + SAMPLE_HEADER.length))] = Math.floor(next() * 256);
    }
    try {
      const { tensors } = decodeSafetensors(bytes, "here");
      const total = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
      assertEquals(total, SAMPLE_DATA.length / 2);
    } catch (error) {
      assert(error instanceof Error && error.message.startsWith("here"), `${error}`);
      refused++;
    }
  }
  assert(refused > 2000, `only ${refused} of 4000 refused`);
});

test.inDir("what cannot be written is refused by name", async (dir) => {
  const one = (name: string, shape: number[], bytes: number): [string, SafetensorsTensor] => [
    name,
    { dtype: "F32", shape, data: new Uint8Array(bytes) },
  ];
  const refused = (tensors: [string, SafetensorsTensor][], message: string) =>
    assertThrows(() => encodeSafetensors(tensors), Error, message);
  refused([one("a", [2], 4)], 'tensor "a" is F32 [2] and needs 8 bytes: its data have 4');
  refused([one("a", [1], 4), one("a", [1], 4)], 'tensor "a" is given twice');
  refused([one("__metadata__", [1], 4)], "this name is reserved");
  refused([one("a", [-1], 4)], "has shape [-1]");
  refused([one("a", [1.5], 6)], "has shape [1.5]");
  const unknown = { dtype: "F8" as SafetensorsDtype, shape: [1], data: new Uint8Array(1) };
  refused([["a", unknown]], 'tensor "a" has dtype "F8": use U64');
  const metadata = { a: 1 } as unknown as Record<string, string>;
  assertThrows(() => encodeSafetensors([], metadata), TypeError, '__metadata__ is {"a":1}');

  const path = join(dir, "old.safetensors");
  await Deno.writeTextFile(path, "old");
  const specs = ["a", "b"].map((name) => ({ name, dtype: "F32" as const, shape: [2] }));
  await assertRejects(
    () => writeSafetensors(path, specs, (name) => new Float32Array(name === "a" ? 2 : 3)),
    RangeError,
    'tensor "b" is F32 [2] and needs 8 bytes: its data have 12',
  );
  assertEquals(await Deno.readTextFile(path), "old");
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["old.safetensors"]);
});
