import { assert, assertEquals, assertThrows } from "@std/assert";
import { defineTask } from "../../src/task/define_task.ts";
import { isSolved, maxRewardOf, rewardsDiffer, sameReward } from "../../src/task/solved.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import { weightedSum } from "../../src/task/weighted_sum.ts";

const task = (
  verify: Record<string, () => number | null>,
  rewardWeights: Record<string, number> = {},
  maxReward?: number,
) =>
  defineTask({
    name: "weighted",
    tokenizer: symbolTokenizer("ab"),
    prompts: ["a", "b"],
    verify,
    rewardWeights,
    ...(maxReward === undefined ? {} : { maxReward }),
    maxCompletionLength: 2,
  });

const rewardOf = async (of: ReturnType<typeof task>) =>
  (await of.verify({ prompt: "a" }, [2, 1]) as { reward: number }).reward;

Deno.test("rewards of several functions add up as decimal numbers do", async () => {
  const one = () => 1;
  // In floating point 0.9999999999999999.
  const right = task({ a: one, b: one, c: one }, { a: 0.7, b: 0.2, c: 0.1 });
  assertEquals(await rewardOf(right), 1);
  assert(isSolved(right, 0.7 + 0.2 + 0.1));
  const sums: [terms: [number, number][], sum: number][] = [
    [[[0.1, 1], [0.2, 1]], 0.3],
    [[[0.3, 1]], 0.3],
    [Array.from({ length: 10 }, () => [0.1, 1]), 1],
    [[[1, 1], [1e-9, 1]], 1.000000001],
    // Terms that cancel leave what they were.
    [[[1e8, 1], [0.1, 3], [-1e8, 1]], 0.3],
    [[[-0.7, 1], [0.1, 1]], -0.6],
    [[[1e-200, 1], [2e-200, 1]], 1e-200 + 2e-200],
    [[[1e22, 1], [1, 1]], 1e22],
    [[[1, 0]], 0],
    // What is no decimal number stays to the last bit.
    [[[0.5, 1 / 3]], 0.5 / 3],
    [[[1, 2 / 3], [1, 0]], 2 / 3],
  ];
  for (const [terms, sum] of sums) assertEquals(weightedSum(terms), sum);
});

Deno.test("solved is reaching the task's maximum, which is 1 unless it says otherwise", () => {
  const three = { a: () => 1, b: () => 1, c: () => 1 };
  assertEquals(maxRewardOf({}), 1);
  assertEquals(maxRewardOf(task(three)), 1);
  assertEquals(maxRewardOf(task(three, {}, 3)), 3);
  // Where weights add up to less, 1 is out of reach.
  assertEquals(maxRewardOf(task(three, { a: 0.5, b: 0.2, c: -0.2 })), 0.7);
  assertEquals([0.6, 0.7, 1].map((r) => isSolved({ maxReward: 0.7 }, r)), [false, true, true]);
  assertEquals([0.999999, 1.2].map((r) => isSolved({}, r)), [false, true]);
  assertThrows(() => task(three, {}, NaN), RangeError, "maxReward must be a finite number");
});

Deno.test("rewards that differ by rounding alone teach nothing", () => {
  assertEquals(rewardsDiffer([0.1 + 0.2, 0.3, 0.3]), false);
  assertEquals(rewardsDiffer([0.3, 0.3001]), true);
  assertEquals(rewardsDiffer([1e8 + 1, 1e8 + 2]), true);
  assertEquals(rewardsDiffer([0, 1e-300]), true);
  assertEquals([sameReward(0, 0), sameReward(-1, 1)], [true, false]);
});
