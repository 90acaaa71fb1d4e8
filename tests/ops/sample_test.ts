import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { threefry2x32 } from "../../src/random/random.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { sample, samplingKey } from "../../src/ops/sample.ts";
import { link } from "../../src/ops/wgsl.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { onEveryDevice } from "../helpers/gpu.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";
import { draw, openUniform, record } from "../helpers/sampling.ts";
import { progress } from "../helpers/side_by_side.ts";
import { logSoftmax } from "../reference/softmax.ts";
import { gumbelMax } from "../reference/sample.ts";
import { test } from "../helpers/test.ts";

function zeros(n: number): number[] {
  return new Array<number>(n).fill(0);
}

test.onDevices("the kernels' random numbers are those of the host", async (gpu) => {
  const code = `// needs: threefry
    @group(0) @binding(0) var<storage, read> input: array<vec4u>;
    @group(0) @binding(1) var<storage, read_write> words: array<vec2u>;
    @group(0) @binding(2) var<storage, read_write> reals: array<vec2f>;
    @compute @workgroup_size(1)
    fn main(@builtin(workgroup_id) wid: vec3u) {
        let at = input[wid.x];
        words[wid.x] = threefry2x32(at.xy, at.zw);
        let u = open_uniform(at.x);
        reals[wid.x] = vec2f(u, exponential(u));
    }`;
  const random = randomIntegers(1, 4 * 500, 2 ** 32);
  const edges = [0, 1, 2 ** 24 - 1, 2 ** 24, 2 ** 24 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
  const input = Uint32Array.from([...edges.flatMap((x) => [x, x, 0, x]), ...random]);
  const n = input.length / 4;
  const plan = new Plan(gpu, "random");
  const words = gpu.tensor([n, 2], { dtype: "u32" });
  const reals = gpu.tensor([n, 2]);
  plan.dispatch({
    kernel: gpu.kernel(link({ name: "random", code, entryPoint: "main" })),
    bindings: { input: gpu.tensor([n, 4], { data: input, dtype: "u32" }), words, reals },
    workgroups: n,
  });
  await plan.compile();
  submit(gpu, [plan]);
  const gotWords = await readTensor(gpu, words);
  const gotReals = await readTensor(gpu, reals);
  for (let i = 0; i < n; i++) {
    const [a, b, c, d] = input.subarray(4 * i, 4 * i + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    assertEquals([gotWords[2 * i], gotWords[2 * i + 1]], threefry2x32(a, b, c, d));
    const u = gotReals[2 * i]!;
    assertEquals(u, openUniform(a));
    assert(u > 0 && u < 1);
    // Relative to itself, down to the smallest.
    assertClose([gotReals[2 * i + 1]!], [-Math.log1p(-u)], { tolerance: 1e-6, label: `u = ${u}` });
  }
});

test.onDevices("sample() takes the token of the Gumbel-max reference, with its log-probability", async (gpu) => {
  for (const [vocabulary, count] of [[1, 3], [2, 65], [7, 64], [64, 63], [1003, 9]] as const) {
    const temperature = 0.8;
    const seed = 5 + 7 * 2 ** 32;
    const step = 11;
    const logits = randomArray(vocabulary, 3 * vocabulary, 2);
    const rows = Array.from(randomIntegers(2, count, 3));
    const firstSampleId = randomIntegers(3, 1, 2 ** 32)[0]!;
    const length = 3;
    const { tokens, logProbs } = await draw(
      gpu,
      { logits, vocabulary, rows, length },
      { temperature, seed, step, firstSampleId },
    );
    const uniforms = new Float64Array(count * vocabulary);
    const used = new Float64Array(count * vocabulary);
    for (let position = 0; position < length; position++) {
      for (let a = 0; a < count; a++) {
        const sampleId = (firstSampleId + a) >>> 0;
        const row = threefry2x32(...samplingKey(seed, step), sampleId, position);
        for (let v = 0; v < vocabulary; v++) {
          uniforms[a * vocabulary + v] = 1 - openUniform(threefry2x32(...row, v >> 1, 0)[v & 1]!);
          used[a * vocabulary + v] = logits[rows[a]! * vocabulary + v]!;
        }
      }
      const wanted = gumbelMax(used, uniforms, { vocabulary, temperature });
      const logP = logSoftmax(used.map((x) => x / temperature), count, vocabulary);
      for (let a = 0; a < count; a++) {
        const at = a * length + position;
        assertEquals(tokens[at], wanted[a], `V ${vocabulary}, sequence ${a}, token ${position}`);
        assertClose([logProbs[at]!], [logP[a * vocabulary + wanted[a]!]!], { tolerance: 1e-5 });
      }
    }
  }
});

test.onDevices("sample() draws from the tempered softmax", async (gpu) => {
  const logits = [0.3, -1, 2, 0, 1.1, -2.5, 0.8];
  for (const temperature of [0.7, 1, 2.5]) {
    const draws = 16_384;
    const { tokens } = await draw(
      gpu,
      { logits, vocabulary: 7, rows: zeros(draws / 4), length: 4 },
      { temperature, seed: 3 },
    );
    const counts = zeros(7);
    for (const token of tokens) counts[token]!++;
    const logP = logSoftmax(logits.map((x) => x / temperature), 1, 7);
    const chiSquared = counts.reduce((sum, count, v) => {
      const expected = draws * Math.exp(logP[v]!);
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // 6 degrees of freedom: 22.5 is exceeded once in a thousand; the draws are always the same.
    assert(chiSquared < 22.5, `chi-squared ${chiSquared} at temperature ${temperature}: ${counts}`);
  }
});

test.onDevices("sample() draws rare tokens as often as they should be", async (gpu) => {
  // 4095 tokens that together have probability 0.02 beside a common one: each has 5e-6.
  const vocabulary = 4096;
  const logits = randomArray(1, vocabulary, 0);
  logits[1000] = Math.log(49 * 4095);
  const draws = 4096;
  const { tokens } = await draw(gpu, { logits, vocabulary, rows: zeros(draws) }, { seed: 9 });
  const rare = tokens.filter((token) => token !== 1000);
  const deviation = Math.sqrt(draws * 0.02 * 0.98);
  assert(Math.abs(rare.length - draws * 0.02) < 3.5 * deviation, `${rare.length} rare tokens`);
  const mean = rare.reduce((sum, v) => sum + v, 0) / rare.length;
  assert(Math.abs(mean - 2047.5) < 3.5 * 1182 / Math.sqrt(rare.length), `mean index ${mean}`);
});

Deno.test("sample() does not depend on the batch, its order, or the lanes of a team", async (t) => {
  const vocabulary = 131;
  const logits = randomArray(4, 5 * vocabulary, 2);
  const byDevice: number[][] = [];
  await onEveryDevice(t, async (gpu) => {
    const setup = { logits, vocabulary, length: 4 };
    const rows = [0, 1, 2, 3, 4, 0, 1];
    const all = await draw(gpu, { ...setup, rows });
    byDevice.push(all.tokens);
    const order = [4, 2, 6, 0];
    const some = await draw(gpu, { ...setup, rows: order.map((b) => rows[b]!), slots: order });
    for (const b of order) {
      assertEquals(some.tokens.slice(4 * b, 4 * b + 4), all.tokens.slice(4 * b, 4 * b + 4));
    }
    // Sequences 0 and 5 have the same logits and differ in their sample id alone.
    assertNotEquals(all.tokens.slice(0, 4), all.tokens.slice(20, 24));
    assertNotEquals((await draw(gpu, { ...setup, rows }, { seed: 2 })).tokens, all.tokens);
    assertNotEquals((await draw(gpu, { ...setup, rows }, { step: 1 })).tokens, all.tokens);
  });
  for (const tokens of byDevice) assertEquals(tokens, byDevice[0]);
});

test.onDevices("sample() at temperature 0 takes the first of the largest logits", async (gpu) => {
  const vocabulary = 70;
  const logits = new Float32Array(3 * vocabulary).fill(-2);
  for (const v of [69, 33, 41]) logits[v] = 1.5;
  logits[vocabulary + 69] = 3;
  const { tokens, logProbs } = await draw(gpu, { logits, vocabulary, rows: [0, 1, 2] }, {
    temperature: () => 0,
  });
  assertEquals(tokens, [33, 69, 0]);
  const logP = logSoftmax(logits, 3, vocabulary);
  assertClose(logProbs, [33, vocabulary + 69, 2 * vocabulary].map((i) => logP[i]!), {
    tolerance: 1e-6,
  });
});

test.onDevices("sample() sums the entropies of what it draws from", async (gpu) => {
  for (const [vocabulary, length] of [[1, 3], [2, 1], [7, 5], [65, 2], [257, 4]] as const) {
    for (const temperature of [0, 0.6, 1, 3]) {
      const logits = randomArray(vocabulary, 3 * vocabulary, 3);
      if (vocabulary > 2) logits[vocabulary + 1] = -Infinity;
      const setup = { logits, vocabulary, rows: [2, 0, 1], length };
      const { entropySums } = await draw(gpu, setup, { temperature });
      const logP = logSoftmax(logits.map((x) => x / (temperature || 1)), 3, vocabulary);
      const entropies = [2, 0, 1].map((row) => {
        const p = logP.slice(row * vocabulary, (row + 1) * vocabulary);
        return -p.reduce((sum, l) => l === -Infinity ? sum : sum + Math.exp(l) * l, 0);
      });
      assertClose(entropySums, entropies.map((h) => h * length), {
        tolerance: 1e-5,
        scale: 0.1,
        label: `V ${vocabulary} at temperature ${temperature}`,
      });
    }
  }
});

test.onDevices("sample() begins a new sum of entropies with the first token", async (gpu) => {
  const { plan, state } = await record(gpu, {
    logits: [0, 0],
    vocabulary: 2,
    rows: [0, 0],
    finished: [0, 1],
  });
  gpu.write(state.entropySums, [NaN, 5]);
  submit(gpu, [plan]);
  const sums = await readTensor(gpu, state.entropySums);
  assertClose(sums, [Math.LN2, 5], { tolerance: 1e-6 });
});

test.onDevices("sample() approaches the greedy choice and the uniform one at extreme temperatures", async (gpu) => {
  const vocabulary = 16;
  const logits = randomArray(6, vocabulary, 3);
  const best = gumbelMax(logits, [], { vocabulary, temperature: 0 })[0]!;
  const cold = await draw(gpu, { logits, vocabulary, rows: zeros(64) }, { temperature: 1e-6 });
  assertEquals(cold.tokens, new Array(64).fill(best));
  assertEquals(cold.logProbs, zeros(64));
  const hot = await draw(gpu, { logits, vocabulary, rows: zeros(1024) }, { temperature: 1e6 });
  const counts = zeros(vocabulary);
  for (const token of hot.tokens) counts[token]!++;
  assert(counts.every((count) => Math.abs(count - 64) < 4 * 8), `${counts}`);
  assertClose(hot.logProbs.slice(0, 1), [-Math.log(16)], { tolerance: 1e-5 });
});

test.onDevices("sample() ends sequences at an end token and at the limit, and leaves ended ones alone", async (gpu) => {
  const vocabulary = 5;
  const logits = [0, 9, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 9];
  const setup = {
    logits,
    vocabulary,
    rows: [0, 1, 2, 1],
    eos: [4, 1],
    finished: [0, 0, 0, 1],
    length: 4,
  };
  const { plan, state } = await record(gpu, setup, { temperature: 0, limit: () => 3 });
  submit(gpu, [plan]);
  assertEquals(Array.from(await readTensor(gpu, state.lengths)), [1, 1, 1, 0]);
  assertEquals(Array.from(await readTensor(gpu, state.finished)), [1, 0, 1, 1]);
  assertEquals(Array.from(await readTensor(gpu, state.lastTokens)), [1, 2, 4, 0]);
  submit(gpu, [{ plan, times: 5 }]);
  assertEquals(Array.from(await readTensor(gpu, state.lengths)), [1, 3, 1, 0]);
  assertEquals(Array.from(await readTensor(gpu, state.finished)), [1, 1, 1, 1]);
  assertEquals(
    Array.from(await readTensor(gpu, state.tokens)),
    [1, 0, 0, 0, 2, 2, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0],
  );
});

test.onDevices("sample() does not hide a NaN, and stays inside the vocabulary", async (gpu) => {
  const logits = [0, NaN, 1, NaN, NaN, NaN];
  for (const temperature of [0, 1]) {
    const { tokens, logProbs, entropySums } = await draw(
      gpu,
      { logits, vocabulary: 3, rows: [0, 1] },
      { temperature },
    );
    assert(logProbs.every(Number.isNaN), `${logProbs}`);
    assert(entropySums.every(Number.isNaN), `${entropySums}`);
    assert(tokens.every((token) => token < 3), `${tokens}`);
  }
});

test.onDevices("sample() follows the number of active sequences", async (gpu) => {
  const active = new Dim("active", 4);
  const plan = new Plan(gpu, "test");
  const u32 = (n: number, data: number[] = []) => gpu.tensor([n], { dtype: "u32", data });
  const rows = plan.input([active], "rows", "u32");
  const slots = plan.input([active], "slots", "u32");
  const state = {
    tokens: gpu.tensor([4, 1], { dtype: "u32" }),
    logProbs: gpu.tensor([4, 1]),
    entropySums: gpu.tensor([4]),
    ...progress(gpu, 4),
  };
  sample(plan, gpu.tensor([1, 3], { data: [1, 2, 3] }), { rows, slots }, state, {
    temperature: 1,
    seed: 1,
    step: 1,
    limit: 1,
    eosTokenIds: u32(1, [9]),
  });
  await plan.compile();
  gpu.write(slots, [3, 1, 0, 2]);
  active.value = 2;
  submit(gpu, [plan]);
  assertEquals(Array.from(await readTensor(gpu, state.lengths)), [0, 1, 0, 1]);
});

test.onDevices("sample() refuses shapes that do not fit", (gpu) => {
  const plan = new Plan(gpu, "p");
  const u32 = (...shape: number[]) => gpu.tensor(shape, { dtype: "u32" });
  const state = {
    tokens: u32(2, 3),
    logProbs: gpu.tensor([2, 3]),
    entropySums: gpu.tensor([2]),
    ...progress(gpu, 2),
  };
  const options = { temperature: 1, seed: 0, step: 0, limit: 3, eosTokenIds: u32(1) };
  const active = { rows: u32(2), slots: u32(2) };
  const logits = gpu.tensor([2, 5]);
  assertThrows(
    () => sample(plan, gpu.tensor([10]), active, state, options),
    RangeError,
    "logits (R, V)",
  );
  assertThrows(
    () => sample(plan, logits, { rows: u32(1), slots: u32(2) }, state, options),
    RangeError,
    "rows and slots",
  );
  assertThrows(
    () => sample(plan, logits, active, { ...state, finished: u32(3) }, options),
    RangeError,
    "finished",
  );
});
