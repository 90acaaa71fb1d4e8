import { assert, assertEquals } from "@std/assert";
import { threefry2x32 } from "../../src/random/random.ts";
import { samplingKey } from "../../src/ops/sample.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { onEveryDevice } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { draw, openUniform } from "../helpers/sampling.ts";
import { gumbelMax, keptTokens } from "../reference/sample.ts";
import { logSoftmax } from "../reference/softmax.ts";
import { test } from "../helpers/test.ts";

const OFF = { topK: 0, topP: 1, minP: 0 };
const RULES = [
  { topK: 1, topP: 1, minP: 0 },
  { topK: 5, topP: 1, minP: 0 },
  { topK: 0, topP: 0.9, minP: 0 },
  { topK: 0, topP: 1e-6, minP: 0 },
  { topK: 0, topP: 1, minP: 0.1 },
  { topK: 0, topP: 1, minP: 1 },
  { topK: 20, topP: 0.8, minP: 0.02 },
  OFF,
];

/** Tokens of the Gumbel-max reference among those that are kept, one per sequence. */
function reference(
  logits: ArrayLike<number>,
  vocabulary: number,
  { temperature, seed, ...rules }: typeof OFF & { temperature: number; seed: number },
): number[] {
  const rows = logits.length / vocabulary;
  const uniforms = new Float64Array(logits.length);
  const used = new Float64Array(logits.length);
  for (let r = 0; r < rows; r++) {
    const key = threefry2x32(...samplingKey(seed, 0), r, 0);
    const row = Array.from(logits).slice(r * vocabulary, (r + 1) * vocabulary);
    const kept = keptTokens(row, { temperature, ...rules });
    for (let v = 0; v < vocabulary; v++) {
      uniforms[r * vocabulary + v] = 1 - openUniform(threefry2x32(...key, v >> 1, 0)[v & 1]!);
      used[r * vocabulary + v] = kept[v] ? row[v]! : -Infinity;
    }
  }
  return Array.from(gumbelMax(used, uniforms, { vocabulary, temperature }));
}

function counting(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

test.onDevices("sample() draws the reference's token among those that min-p, top-k and top-p leave", async (gpu) => {
  for (const [vocabulary, rows] of [[1, 2], [7, 40], [33, 40], [4096, 6], [50_257, 1]] as const) {
    const logits = randomArray(vocabulary, rows * vocabulary, 3);
    const temperature = 1.3;
    const logP = logSoftmax(logits.map((x) => x / temperature), rows, vocabulary);
    for (const truncation of vocabulary > 5000 ? [RULES[6]!] : RULES) {
      const { tokens, logProbs } = await draw(
        gpu,
        { logits, vocabulary, rows: counting(rows) },
        { temperature, seed: 4, truncation },
      );
      const label = `V ${vocabulary}, ${JSON.stringify(truncation)}`;
      const wanted = reference(logits, vocabulary, { temperature, seed: 4, ...truncation });
      assertEquals(tokens, wanted, label);
      // Of the whole distribution.
      const whole = tokens.map((token, r) => logP[r * vocabulary + token]!);
      assertClose(logProbs, whole, { tolerance: 1e-5, label });
    }
  }
});

Deno.test("sample() keeps all of equal logits or none, and what is impossible stays so", async (t) => {
  const three = [2, 0, 1, -Infinity, 1, 1, -0, -3];
  const cases = [
    [{ ...OFF, topK: 2 }, three, [0, 2, 4, 5]],
    [{ ...OFF, topK: 4 }, three, [0, 2, 4, 5]],
    [{ ...OFF, topK: 5 }, three, [0, 1, 2, 4, 5, 6]],
    [{ ...OFF, topK: 8 }, three, [0, 1, 2, 4, 5, 6, 7]],
    [{ ...OFF, topK: 100 }, three, [0, 1, 2, 4, 5, 6, 7]],
    [{ ...OFF, topP: 0.5 }, three, [0, 2, 4, 5]],
    [{ ...OFF, minP: 0.7 }, three, [0, 2, 4, 5]],
    // Just above half of the mass, and one of four.
    [{ ...OFF, topP: 0.5 }, [0, 1e-3, -1000, 1e-3, 0], [1, 3]],
    [{ ...OFF, topP: 0.5 }, [5, 5, 5, 5], [0, 1, 2, 3]],
    [{ ...OFF, topP: 1e-9 }, [-Infinity, -2, -Infinity], [1]],
    // vLLM's order: of what top-k leaves, 0.6 is less than of all.
    [{ ...OFF, topK: 2, topP: 0.7 }, [3, 2, 2, 2, 2].map((p) => Math.log(p / 11)), [0, 1, 2, 3, 4]],
    [{ ...OFF, topK: 2, topP: 0.55 }, [5, 4, 1, 1, 1].map((p) => Math.log(p)), [0]],
    [{ ...OFF, topP: 0.45, minP: 0.5 }, [4, 3, 1, 1, 1].map((p) => Math.log(p)), [0]],
  ] as const;
  await onEveryDevice(t, async (gpu) => {
    for (const [truncation, logits, wanted] of cases) {
      const { tokens } = await draw(
        gpu,
        // -3 beside 2 at temperature 4 comes up often enough to be seen.
        { logits, vocabulary: logits.length, rows: new Array(160).fill(0) },
        { temperature: logits === three ? 4 : 1, truncation },
      );
      const drawn = [...new Set(tokens)].sort((a, b) => a - b);
      assertEquals(drawn, [...wanted], `${JSON.stringify(truncation)} of ${logits}`);
    }
  });
});

test.onDevices("sample() draws from the truncated softmax as often as it should", async (gpu) => {
  const logits = [0.3, -1, 2, 0, 1.1, -2.5, 0.8];
  const temperature = 0.9;
  const draws = 2048;
  // Four tokens are left each time.
  for (const truncation of [{ ...OFF, topK: 4 }, { ...OFF, topP: 0.9 }, { ...OFF, minP: 0.14 }]) {
    const { tokens } = await draw(
      gpu,
      { logits, vocabulary: 7, rows: new Array(draws / 4).fill(0), length: 4 },
      { temperature, seed: 3, truncation },
    );
    const kept = keptTokens(logits, { temperature, ...truncation });
    const total = logits.reduce((s, x, v) => s + (kept[v] ? Math.exp(x / temperature) : 0), 0);
    assertEquals(kept.filter((k) => k).length, 4);
    let chiSquared = 0;
    for (const [v, logit] of logits.entries()) {
      const count = tokens.filter((token) => token === v).length;
      if (!kept[v]) assertEquals(count, 0);
      const expected = draws * Math.exp(logit / temperature) / total;
      if (kept[v]) chiSquared += (count - expected) ** 2 / expected;
    }
    // 3 degrees of freedom: 16.3 is exceeded once in a thousand; the draws are always the same.
    assert(chiSquared < 16.3, `chi-squared ${chiSquared}, ${JSON.stringify(truncation)}`);
  }
});

test.onDevices("truncation leaves greedy choices, entropies and undefined rows as they are", async (gpu) => {
  const vocabulary = 33;
  const logits = randomArray(5, 4 * vocabulary, 3);
  logits[3 * vocabulary + 8] = NaN;
  const setup = { logits, vocabulary, rows: [0, 1, 2, 3] };
  const truncation = { topK: 3, topP: 0.5, minP: 0.1 };
  for (const temperature of [0, 1]) {
    const all = await draw(gpu, setup, { temperature });
    const some = await draw(gpu, setup, { temperature, truncation });
    if (temperature === 0) assertEquals(some, all);
    assertEquals(some.entropySums, all.entropySums);
    assert(Number.isNaN(some.logProbs[3]!));
    assert(some.tokens.every((token) => token < vocabulary));
  }
});

Deno.test("a truncated draw depends neither on its batch nor on the lanes of a team", async (t) => {
  const vocabulary = 131;
  const logits = randomArray(4, 5 * vocabulary, 2);
  const byDevice: number[][] = [];
  await onEveryDevice(t, async (gpu) => {
    const truncation = { topK: 40, topP: 0.7, minP: 0.01 };
    const setup = { logits, vocabulary, length: 4 };
    const rows = [0, 1, 2, 3, 4, 0, 1];
    const all = await draw(gpu, { ...setup, rows }, { truncation });
    byDevice.push(all.tokens);
    const order = [4, 2, 6, 0];
    const some = await draw(gpu, { ...setup, rows: order.map((b) => rows[b]!), slots: order }, {
      truncation,
    });
    for (const b of order) {
      assertEquals(some.tokens.slice(4 * b, 4 * b + 4), all.tokens.slice(4 * b, 4 * b + 4));
    }
  });
  for (const tokens of byDevice) assertEquals(tokens, byDevice[0]);
});

test.onDevices("a truncated draw does not depend on how the vocabulary is cut", async (gpu) => {
  const [vocabulary, rows, width] = [300, 5, 128];
  const logits = randomArray(9, rows * vocabulary, 2);
  // One matrix (rows, width) after the other.
  const ranges: number[] = [];
  for (let first = 0; first < vocabulary; first += width) {
    for (let r = 0; r < rows; r++) {
      const begin = r * vocabulary + first;
      const end = r * vocabulary + Math.min(first + width, vocabulary);
      ranges.push(...logits.subarray(begin, end));
    }
  }
  const truncation = { topK: 60, topP: 0.8, minP: 0.01 };
  const setup = { vocabulary, rows: counting(rows), length: 4 };
  const whole = await draw(gpu, { ...setup, logits }, { truncation });
  const part = { first: 0, rangeColumns: width };
  const cut = await draw(gpu, { ...setup, logits: ranges }, { truncation, part });
  assertEquals(cut.tokens, whole.tokens);
});
