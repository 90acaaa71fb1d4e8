import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  learningRateAt,
  type LrScheduler,
  type ScheduleOptions,
} from "../../src/optim/schedule.ts";

const rates = (options: Omit<ScheduleOptions, "learningRate">, steps = options.totalSteps) =>
  Array.from({ length: steps }, (_, step) => learningRateAt(step, { learningRate: 8, ...options }));

Deno.test("a constant rate is reached along a straight line and kept, beyond the end too", () => {
  assertEquals(rates({ totalSteps: 3 }), [8, 8, 8]);
  assertEquals(rates({ totalSteps: 5, warmupSteps: 4 }, 7), [2, 4, 6, 8, 8, 8, 8]);
});

Deno.test("a cosine falls from the peak to zero, symmetrically about its middle", () => {
  const fall = rates({ totalSteps: 9, warmupSteps: 1, lrScheduler: "cosine" }, 12);
  assertEquals(fall.slice(0, 2), [8, 8]);
  for (let i = 1; i <= 9; i++) {
    if (i > 1) assert(fall[i]! < fall[i - 1]!);
    assertAlmostEquals(fall[i]! + fall[10 - i]!, 8, 1e-12);
  }
  assertAlmostEquals(fall[3]!, 4 * (1 + Math.SQRT1_2), 1e-12); // a quarter of the way
  assertEquals(fall.slice(9), [0, 0, 0]);
});

Deno.test("the first step learns, also when all of the run is warm-up", () => {
  for (const lrScheduler of ["constant", "cosine"] as const) {
    assertEquals(rates({ totalSteps: 2, warmupSteps: 4, lrScheduler }), [2, 4]);
    assert(learningRateAt(0, { learningRate: 8, totalSteps: 0, lrScheduler }) > 0);
  }
});

Deno.test("a line falls from the peak to zero, and steps may stand for more than one", () => {
  assertEquals(rates({ totalSteps: 5, warmupSteps: 1, lrScheduler: "linear" }, 7), [
    8,
    8,
    6,
    4,
    2,
    0,
    0,
  ]);
  const options = { learningRate: 8, totalSteps: 4, lrScheduler: "linear" } as const;
  assertEquals(learningRateAt(2.5, options), 3);
  assertEquals(learningRateAt(1.5, { ...options, warmupSteps: 2 }), 8); // not beyond the peak
});

Deno.test("learningRateAt() refuses what is no number, and shapes that do not exist", () => {
  const options = { learningRate: 8, totalSteps: 4, warmupSteps: 1 };
  for (const bad of [NaN, undefined, null, "1"] as unknown[] as number[]) {
    assertThrows(() => learningRateAt(bad, options), RangeError, "step must be a finite number");
    for (const name of ["learningRate", "totalSteps"] as const) {
      const changed = { ...options, [name]: bad };
      assertThrows(() => learningRateAt(2, changed), RangeError, `${name} must be a finite number`);
    }
  }
  const step = { ...options, lrScheduler: "step" as LrScheduler };
  assertThrows(() => learningRateAt(2, step), RangeError, "lrScheduler is step: choose one of");
});
