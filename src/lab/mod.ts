/**
 * Experiments about methods: comparing them from the same weights and on the same prompts, measuring how biased and noisy the
 * gradient of each aggregation rule is, what a policy can do before it is trained, and the objective's numbers in float64, to
 * check formulas by.
 *
 * @example How noisy two rules' gradients are for given lengths
 * ```ts
 * import { lossWeights } from "@deltal/deltal";
 * import { estimatorStatistics } from "@deltal/deltal/lab";
 * import { assert } from "@std/assert";
 *
 * const lengths = [3, 7, 12, 12, 40];
 * const noise = (lossAggregation: "deltaL" | "dapo") =>
 *   estimatorStatistics(lengths, lossWeights(lengths, { lossAggregation, lossScaleFactor: 48 }))
 *     .coefficientOfVariation;
 * assert(noise("deltaL") < noise("dapo"));
 * ```
 *
 * @example Two methods on a task, one seed each, and their table
 * ```ts ignore
 * import { openGpu, Policy } from "@deltal/deltal";
 * import { comparisonMarkdown, comparisonTables, provenance, runComparison, runSpecs } from "@deltal/deltal/lab";
 *
 * const gpu = await openGpu();
 * const made = await provenance(gpu);
 * const runs = [];
 * for (const spec of runSpecs([{ cell, arms: ["delta-l-1", "grpo"], seeds: 1, learningRates: [1] }])) {
 *   const policy = await Policy.load(gpu, "models/start");
 *   runs.push((await runComparison(spec, { task, policy, warmStart: "start", provenance: made }))!);
 *   policy.destroy();
 * }
 * console.log(comparisonMarkdown(comparisonTables(runs)));
 * ```
 *
 * @module
 */

export {
  type Arm,
  armById,
  ARMS,
  type Block,
  type Cell,
  cellName,
  REFERENCE_ARM,
  type RunSpec,
  runSpecs,
  shardOf,
} from "./comparison_plan.ts";
export {
  type ComparisonPlan,
  finishedRuns,
  mergeComparisons,
  readPlan,
  writePlan,
} from "./comparison_folder.ts";
export { COMPARISON_PRESETS, type PresetName } from "./comparison_presets.ts";
export {
  loadRun,
  runComparison,
  type RunContext,
  type RunRecord,
  type RunSample,
  saveRun,
} from "./comparison_run.ts";
export {
  type ArmRow,
  type CellTable,
  comparisonTables,
  type Measure,
  MEASURES,
} from "./comparison_table.ts";
export { type Comparison, comparisonMarkdown, writeComparison } from "./comparison_text.ts";
export { type Provenance, provenance } from "./provenance.ts";
export {
  type GradientPool,
  type GradientPoolOptions,
  type Gram,
  gram,
  sampleGradients,
} from "./gradient_pool.ts";
export {
  type ParameterProfile,
  type VarianceStudy,
  varianceStudy,
  type VarianceStudyOptions,
} from "./variance_study.ts";
export { varianceMarkdown, type VarianceReport, writeVariance } from "./variance_text.ts";
export {
  type AggregationNoise,
  aggregationNoise,
  type AggregationNoiseOptions,
  type RuleNoise,
} from "./aggregation_noise.ts";
export { type RulePool } from "./rule_tally.ts";
export { type BinProfile, type LengthBin, type LengthProfile } from "./length_profile.ts";
export { type Interval, type OriginFit, studentInterval } from "./statistics.ts";

// Measurements of a policy.
export { monotonicityScore } from "./monotonicity.ts";
export { probe, type ProbeReport, type ProbeVerdict } from "../rl/probe.ts";
export { maxRewardOf, rewardsDiffer, sameReward } from "../task/solved.ts";

// The objective's numbers.
export {
  effectiveSampleSize,
  type EstimatorStatistics,
  estimatorStatistics,
} from "../objective/estimator_statistics.ts";
export { type IndexRange } from "../objective/groups.ts";
export { type AggregationSettings, lengthWeights } from "../objective/aggregation.ts";
export { type KlEstimate, klEstimate } from "../objective/kl.ts";
export { responsePolicyLoss, tokenPolicyLoss } from "../objective/policy_loss.ts";
export {
  type ResponseLoss,
  type SurrogateNumbers,
  type TokenLoss,
} from "../objective/surrogate.ts";
export { type SoftOverlongOptions, softOverlongPunishment } from "../objective/overlong.ts";
