import type { LossWeightOptions } from "../../src/objective/loss_weights.ts";
import type { ResolvedTrainOptions } from "../../src/rl/train_options.ts";

/** What of a run's options `lossWeights` takes. */
export function aggregationOf(options: ResolvedTrainOptions): LossWeightOptions {
  const { lossAggregation, lossAlpha, lossScaleFactor, lossScope } = options;
  const { lossMicroBatchSize, lossLambda, lossLambdaSpread, numGenerations } = options;
  return {
    lossAggregation,
    lossAlpha,
    lossScaleFactor,
    lossScope,
    lossMicroBatchSize,
    lossLambda,
    lossLambdaSpread,
    numGenerations,
  };
}
