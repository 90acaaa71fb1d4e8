import { aggregationOf } from "../helpers/aggregation.ts";
import { assert, assertEquals } from "@std/assert";
import { groupAdvantages } from "../../src/objective/advantage.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { lossCancels } from "../../src/rl/loss_value.ts";
import { responsePolicyLoss, surrogateSettings } from "../../src/objective/policy_loss.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { ResolvedTrainOptions, TrainOptions } from "../../src/rl/train_options.ts";
import type { ChoiceSetting } from "../../src/rl/setting_kinds.ts";
import { SETTINGS } from "../../src/rl/settings.ts";

const G = 4;
const LENGTHS = [3, 9, 5, 2, 7, 1, 4, 11, 6, 6, 2, 8];
// In every group different rewards, and one that is best by itself.
const REWARDS = [1, 0, 0.25, 0, 0, 0.5, 0, 1, 0.75, 0, 1, 0.5];

/** The policy loss of a batch whose policy is the one that sampled it, relative to the sum of its terms' sizes. */
function relativeLoss(options: ResolvedTrainOptions): number {
  const advantages = groupAdvantages(REWARDS, G, {
    advantageEstimator: options.advantageEstimator,
    lengths: LENGTHS,
  });
  const weights = lossWeights(LENGTHS, { ...aggregationOf(options), numGenerations: G });
  const settings = surrogateSettings(options);
  let sum = 0;
  let size = 0;
  for (const [i, length] of LENGTHS.entries()) {
    const logProbs = Array.from({ length }, (_, t) => -0.1 - 0.3 * ((i + 3 * t) % 5));
    for (const loss of responsePolicyLoss(logProbs, logProbs, advantages[i]!, settings).losses) {
      sum += weights[i]! * loss;
      size += Math.abs(weights[i]! * loss);
    }
  }
  return Math.abs(sum) / size;
}

Deno.test("the loss cancels out exactly where lossCancels() says so, for every choice there is", () => {
  const counts = { zero: 0, other: 0 };
  const some = (name: keyof TrainOptions) =>
    Object.keys((SETTINGS[name] as ChoiceSetting).choices) as unknown as readonly never[];
  for (const advantageEstimator of some("advantageEstimator")) {
    for (const lossAggregation of some("lossAggregation")) {
      for (const policyLoss of some("policyLoss")) {
        for (const lossAlpha of [0, 0.75, 1]) {
          for (const lossScope of some("lossScope")) {
            const options = resolveTrainOptions(
              {
                maxSteps: 1,
                learningRate: 1e-3,
                numGenerations: G,
                advantageEstimator,
                lossAggregation,
                lossAlpha,
                lossScope,
                // Not whole groups, over which the advantages of opo would add up to 0 by tokens.
                lossMicroBatchSize: 3,
                policyLoss,
              },
              16,
              [],
            );
            for (const sapoTemperatureNeg of [1, 1.05]) {
              const all = { ...options, sapoTemperaturePos: 1, sapoTemperatureNeg };
              const cancels = lossCancels(all);
              counts[cancels ? "zero" : "other"]++;
              const loss = relativeLoss(all);
              const what = JSON.stringify([
                advantageEstimator,
                lossAggregation,
                policyLoss,
                lossAlpha,
                lossScope,
                sapoTemperatureNeg,
              ]);
              if (cancels) assert(loss < 1e-12, `${what}: ${loss}`);
              else assert(loss > 1e-5, `${what}: ${loss}`);
            }
          }
        }
      }
    }
  }
  assert(counts.zero > 200 && counts.other > 200, JSON.stringify(counts));
});

Deno.test("off-policy, and with responses left out, the loss is not held to be 0", () => {
  const cancels = (options: Partial<TrainOptions>) =>
    lossCancels(resolveTrainOptions({ maxSteps: 1, learningRate: 1e-3, ...options }, 16));
  assertEquals(cancels({}), true);
  assertEquals(cancels({ numIterations: 2 }), false);
  assertEquals(cancels({ miniBatchSize: 16 }), false);
  assertEquals(cancels({ overlongFiltering: true }), false);
  assertEquals(cancels({ maskTruncatedCompletions: true }), false);
});
