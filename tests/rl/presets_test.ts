import { assertEquals, assertThrows } from "@std/assert";
import { presetOptions, PRESETS } from "../../src/rl/presets.ts";
import type { Preset } from "../../src/rl/train_options.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { ResolvedTrainOptions, TrainOptions } from "../../src/rl/train_options.ts";

const resolve = (options: Partial<TrainOptions>) =>
  resolveTrainOptions({ maxSteps: 1, learningRate: 1e-3, ...options }, 100);

Deno.test("every preset resolves to what the paper says", () => {
  const expected: Record<Preset, Partial<ResolvedTrainOptions>> = {
    grpo: { lossAggregation: "grpo", advantageEstimator: "grpo", epsilon: 0.2, epsilonHigh: 0.2 },
    drGrpo: { lossAggregation: "drGrpo", advantageEstimator: "drGrpo", lossScaleFactor: 100 },
    dapo: {
      lossAggregation: "dapo",
      epsilon: 0.2,
      epsilonHigh: 0.28,
      dynamicSampling: true,
      softOverlongBuffer: 20,
      softOverlongPenalty: 1,
    },
    gspo: { lossAggregation: "grpo", policyLoss: "gspo" },
    cispo: { lossAggregation: "dapo", policyLoss: "cispo" },
    deltaL: {
      lossAggregation: "deltaL",
      lossAlpha: 1,
      epsilon: 0.2,
      epsilonHigh: 0.3,
      dualClip: 3,
    },
    dapoDeltaL: {
      lossAggregation: "deltaL",
      lossAlpha: 1,
      epsilon: 0.2,
      epsilonHigh: 0.3,
      dualClip: 10,
      dynamicSampling: true,
      softOverlongBuffer: 0,
      overlongFiltering: false,
    },
  };
  assertEquals(Object.keys(expected), [...PRESETS]);
  for (const [preset, settings] of Object.entries(expected) as [Preset, object][]) {
    const resolved: Record<string, unknown> = { ...resolve({ preset }) };
    for (const [name, value] of Object.entries(settings)) {
      assertEquals([name, resolved[name]], [name, value], preset);
    }
    assertEquals([resolved.preset, resolved.beta], [preset, 0]);
  }
});

Deno.test("what is given beats the preset, and a preset resolved once stays as it is", () => {
  const options = resolve({ preset: "dapo", epsilonHigh: 0.5, dynamicSampling: false });
  assertEquals([options.epsilonHigh, options.dynamicSampling, options.epsilon], [0.5, false, 0.2]);
  assertEquals(resolve({ preset: "dapo", maxCompletionLength: 64 }).softOverlongBuffer, 12);
  for (const preset of PRESETS) {
    const once = resolve({ preset });
    assertEquals(resolveTrainOptions(once, 7), once);
  }
  assertEquals("preset" in resolve({}), false);
});

Deno.test("a preset that does not exist is refused", () => {
  assertThrows(
    () => resolve({ preset: "ppo" as Preset }),
    RangeError,
    "preset must be one of grpo, drGrpo, dapo, gspo, cispo, deltaL, dapoDeltaL: current value is ppo",
  );
});

Deno.test("a preset that does not exist is refused with those that do", () => {
  assertThrows(
    () => presetOptions("dppo" as Preset, 8),
    RangeError,
    "preset is dppo: choose one of grpo, drGrpo, dapo, gspo, cispo, deltaL, dapoDeltaL",
  );
});
