import { assertEquals, assertThrows } from "@std/assert";
import {
  type AdvantageEstimator,
  ADVANTAGES,
  groupAdvantages,
} from "../../src/objective/advantage.ts";
import { groupRanges } from "../../src/objective/groups.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomIntegers, randomUniform } from "../helpers/random.ts";

const exact = { tolerance: 1e-12 };
const sum = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0);

Deno.test("groupRanges() splits by one size or by a list", () => {
  assertEquals(groupRanges(6, 3), [{ start: 0, end: 3 }, { start: 3, end: 6 }]);
  assertEquals(groupRanges(3, [1, 2]), [{ start: 0, end: 1 }, { start: 1, end: 3 }]);
  assertEquals(groupRanges(0, 4), []);
  assertThrows(() => groupRanges(7, 3), RangeError, "does not divide 7 responses");
  assertThrows(() => groupRanges(3, [1, 1]), RangeError, "does not divide 3 responses");
  assertThrows(() => groupRanges(3, [2, 2]), RangeError, "does not divide 3 responses");
  assertThrows(() => groupRanges(2, 0), RangeError, "numGenerations is 0");
  assertThrows(() => groupRanges(2, [2, 0.5]), RangeError, "numGenerations is 0.5");
});

Deno.test("groupAdvantages() standardises within groups of unequal size", () => {
  const actual = groupAdvantages([1, 0, 0, 1, 0], [3, 2]);
  const wide = Math.sqrt(1 / 3) + 1e-6;
  const narrow = Math.SQRT1_2 + 1e-6;
  const expected = [2 / 3 / wide, -1 / 3 / wide, -1 / 3 / wide, 0.5 / narrow, -0.5 / narrow];
  assertClose(actual, expected, exact);
});

Deno.test("groupAdvantages() with batch scale divides by the deviation of all rewards", () => {
  const rewards = [1, 0, 3, 4];
  const divisor = Math.sqrt(10 / 3) + 1e-6;
  const actual = groupAdvantages(rewards, 2, { scaleRewards: "batch" });
  assertClose(actual, [0.5, -0.5, -0.5, 0.5].map((a) => a / divisor), exact);
});

Deno.test("maxRl gives (r - mean) / mean and nothing where nothing succeeded", () => {
  const options = { advantageEstimator: "maxRl" } as const;
  assertClose(groupAdvantages([1, 0, 0, 0, 0, 0], [4, 2], options), [3, -1, -1, -1, 0, 0], exact);
  assertThrows(() => groupAdvantages([1, -1], 2, options), RangeError, "rewards must be >= 0");
});

Deno.test("passK rewards only the best response, and none when two share the top", () => {
  const options = { advantageEstimator: "passK", scaleRewards: "none" } as const;
  assertEquals([...groupAdvantages([2, 5, 3, 1, 1, 0], 3, options)], [0, 2, 0, 0, 0, 0]);
  assertThrows(() => groupAdvantages([1], 1, options), RangeError, "numGenerations must be >= 2");
});

Deno.test("every estimator gives 0 to groups of equal rewards, which teach nothing", () => {
  // 0.1 three times does not add up to 0.3: a mean taken carelessly leaves a residue.
  const rewards = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
  const lengths = [1, 5, 2, 9, 4, 3];
  for (const advantageEstimator of Object.keys(ADVANTAGES) as AdvantageEstimator[]) {
    const actual = groupAdvantages(rewards, 3, { advantageEstimator, lengths });
    assertEquals(actual.map(Math.abs), new Float64Array(6), advantageEstimator);
  }
});

Deno.test("groupAdvantages() refuses what is no reward, and leaves out what could not be judged", () => {
  for (const bad of [undefined, NaN, Infinity, "1"]) {
    assertThrows(
      () => groupAdvantages([1, bad as number], 2),
      RangeError,
      "rewards[1] must be a finite number",
    );
    assertThrows(
      () => groupAdvantages([1, 0], 2, { advantageEstimator: "opo", lengths: [1, bad as number] }),
      RangeError,
      "lengths[1] must be a finite number",
    );
  }
  const drGrpo = { advantageEstimator: "drGrpo" } as const;
  assertEquals([...groupAdvantages([1, null, 0], 3, drGrpo)], [0.5, 0, -0.5]);
  // One that is left has nothing to be compared with.
  assertEquals([...groupAdvantages([null, 1, null, null], 2, drGrpo)], [0, 0, 0, 0]);
  assertEquals([...groupAdvantages([null, 1], 2, { advantageEstimator: "passK" })], [0, 0]);
  const opo = { advantageEstimator: "opo", lengths: [1, 100, 3] } as const;
  assertEquals([...groupAdvantages([4, null, 0], 3, opo)], [3, 0, -1]);
});

Deno.test("a response alone in its group keeps its reward", () => {
  for (const advantageEstimator of ["drGrpo", "rloo", "opo"] as const) {
    assertEquals([...groupAdvantages([0.75], 1, { advantageEstimator, lengths: [3] })], [0.75]);
  }
});

Deno.test("advantages are centred: plainly, by length, or over tokens", () => {
  const rewards = randomUniform(1, 24);
  const lengths = randomIntegers(2, 24, 30).map((x) => x + 1);
  const centred = (estimator: AdvantageEstimator, weights: ArrayLike<number>, size: number) => {
    const advantages = groupAdvantages(rewards, 6, { advantageEstimator: estimator, lengths });
    for (let start = 0; start < 24; start += size) {
      const terms = Array.from(
        { length: size },
        (_, i) => weights[start + i]! * advantages[start + i]!,
      );
      assertClose([sum(terms)], [0], { tolerance: 1e-12, label: estimator });
    }
  };
  const ones = new Float64Array(24).fill(1);
  for (const estimator of ["grpo", "drGrpo", "rloo", "maxRl"] as const) centred(estimator, ones, 6);
  centred("opo", lengths, 6);
  centred("reinforcePlusPlus", lengths, 24);
  centred("reinforcePlusPlusBaseline", lengths, 24);
});

Deno.test("advantages follow a permutation of the responses within a group", () => {
  const rewards = Float64Array.from(randomUniform(3, 8));
  const lengths = [4, 9, 1, 7, 3, 3, 12, 5];
  const order = [3, 1, 0, 2, 7, 5, 6, 4];
  for (const advantageEstimator of Object.keys(ADVANTAGES) as AdvantageEstimator[]) {
    const straight = groupAdvantages(rewards, 4, { advantageEstimator, lengths });
    const permuted = groupAdvantages(order.map((i) => rewards[i]!), 4, {
      advantageEstimator,
      lengths: order.map((i) => lengths[i]!),
    });
    assertClose(permuted, order.map((i) => straight[i]!), { ...exact, label: advantageEstimator });
  }
});

Deno.test("standardised advantages ignore scale and shift of the rewards", () => {
  const rewards = Float64Array.from(randomUniform(4, 8));
  const scaled = rewards.map((r) => 100 * r + 7);
  const straight = groupAdvantages(rewards, 4);
  // The 1e-6 beside the deviation is the only difference.
  assertClose(groupAdvantages(scaled, 4), straight, { tolerance: 1e-4 });
  const batch = groupAdvantages(scaled, 4, { scaleRewards: "batch" });
  assertClose(batch, groupAdvantages(rewards, 4, { scaleRewards: "batch" }), { tolerance: 1e-4 });
});

Deno.test("groupAdvantages() refuses what an estimator cannot use", () => {
  const refuse = (run: () => unknown, message: string) => assertThrows(run, RangeError, message);
  refuse(() => groupAdvantages([1, 0], 2, { advantageEstimator: "opo" }), "needs the response len");
  refuse(
    () => groupAdvantages([1, 0], 2, { advantageEstimator: "opo", lengths: [1] }),
    "1 lengths for 2 rewards",
  );
  refuse(
    () => groupAdvantages([1, 0], 2, { advantageEstimator: "drGrpo", scaleRewards: "group" }),
    "drGrpo accepts none",
  );
  refuse(
    () => groupAdvantages([1, 0], 2, { advantageEstimator: "gae" as AdvantageEstimator }),
    "choose one of grpo",
  );
  refuse(() => groupAdvantages([1, NaN], 2), "rewards[1] must be a finite number");
  refuse(() => groupAdvantages([1, 0, 1], 2), "does not divide 3 responses");
});
