/**
 * Reinforcement learning with verifiable rewards for small language models, entirely on the GPU.
 *
 * The library has layers, each usable without those above it:
 *
 * - **The policy**: {@linkcode Policy}, a transformer of the Llama/Qwen2 family that loads and saves Hugging Face folders,
 *   scores and generates.
 * - **Reinforcement learning**: {@linkcode train} for a whole run, {@linkcode Trainer} for one step at a time,
 *   {@linkcode policyGradient}, {@linkcode groupAdvantages}, {@linkcode lossWeights} and {@linkcode AdamW} for a loop of
 *   one's own.
 * - **Tasks**: {@linkcode defineTask} for one's own, and {@linkcode parity}, {@linkcode chainSum},
 *   {@linkcode countdown} and {@linkcode maze}.
 *
 * {@linkcode openGpu} gives the device all of them compute on. Other entry points: `@deltal/deltal/engine` has tensors, plans
 * and operations with gradients, enough to write and train another model, and the parts of a policy; `@deltal/deltal/text`
 * models with a tokenizer; `@deltal/deltal/lab` experiments and measurements, and the objective's numbers in float64;
 * `@deltal/deltal/cli` the command line.
 *
 * @example A task, a policy, training, evaluation
 * ```ts
 * import { defineTask, evaluate, openGpu, Policy, symbolTokenizer, train } from "@deltal/deltal";
 * import { assert } from "@std/assert";
 *
 * const tokenizer = symbolTokenizer("abc");
 * const task = defineTask({
 *   name: "echo",
 *   tokenizer,
 *   prompts: ["a", "b", "c"],
 *   evalPrompts: ["a", "b", "c"],
 *   verify: ({ prompt, completion }) => completion.startsWith(prompt),
 *   maxCompletionLength: 3,
 * });
 *
 * const gpu = await openGpu();
 * const policy = Policy.create(gpu, {
 *   vocabSize: tokenizer.vocabulary.length,
 *   padTokenId: tokenizer.padTokenId, // never written
 *   hiddenSize: 32,
 *   numHiddenLayers: 1,
 * });
 * const before = await evaluate(policy, task);
 * for await (
 *   const { step, metrics } of train({ policy, task, maxSteps: 20, learningRate: 0.01 })
 * ) {
 *   if (step % 10 === 0) console.log(step, metrics["reward/mean"], metrics["actor/entropy"]);
 * }
 * const after = await evaluate(policy, task);
 * assert(after.meanAtN > before.meanAtN + 0.3);
 *
 * for await (const { completion } of policy.stream([tokenizer.encode("b")], {
 *   maxCompletionLength: 3,
 *   temperature: 0,
 *   eosTokenIds: task.eosTokenIds!,
 * })) console.log(tokenizer.decode(completion));
 *
 * policy.destroy();
 * await gpu.close();
 * ```
 *
 * @module
 */

// What everything runs on, and random numbers of one's own.
export { openGpu } from "./src/gpu/open.ts";
export { Random } from "./src/random/random.ts";

// The policy.
export type { PolicyConfig, PolicyConfigOptions } from "./src/model/config.ts";
export type { StoredDType } from "./src/model/policy_weights.ts";
export { Policy } from "./src/model/policy.ts";
export type { SavePolicyOptions } from "./src/model/save_weights.ts";
export type { LoraOptions } from "./src/model/lora_options.ts";
export type { GenerateOptions, Generation } from "./src/model/generate_request.ts";

// The optimizer.
export { AdamW, type AdamWOptions } from "./src/optim/adamw_optimizer.ts";
export { learningRateAt, type LrScheduler, type ScheduleOptions } from "./src/optim/schedule.ts";

// Reinforcement learning: a run, a step, and the parts of a step.
export { train } from "./src/rl/train.ts";
export type { ContinueRequest, TrainReport, TrainRequest } from "./src/rl/train.ts";
export type { CompletionRecord, StepReport } from "./src/rl/step_report.ts";
export { Trainer } from "./src/rl/trainer.ts";
export { resolveTrainOptions } from "./src/rl/resolve_options.ts";
export {
  type ObjectiveOptions,
  type ResolvedObjective,
  type ResolvedTrainOptions,
  type TrainOptions,
} from "./src/rl/train_options.ts";
export { presetOptions, PRESETS } from "./src/rl/presets.ts";
export { type Preset } from "./src/rl/train_options.ts";
export { describeMemory, type MemoryPlan, planMemory, requireMemory } from "./src/rl/memory.ts";
export { describeObjective } from "./src/rl/describe_objective.ts";
export { WarmStart, type WarmStartOptions, type WarmStartReport } from "./src/rl/warm_start.ts";
export { evaluate, type Evaluation, type EvaluationOptions } from "./src/rl/evaluation.ts";
export { passAtK } from "./src/objective/pass_at_k.ts";
export { type SampleSummary } from "./src/rl/sample_summary.ts";
export {
  type PolicyGradient,
  policyGradient,
  type PolicyGradientOptions,
} from "./src/rl/policy_gradient.ts";
export type { PolicyGradientBatch } from "./src/rl/policy_gradient_batch.ts";
export {
  type AdvantageEstimator,
  type AdvantageOptions,
  groupAdvantages,
  type RewardScale,
} from "./src/objective/advantage.ts";
export type { LossAggregation, LossScope } from "./src/objective/aggregation.ts";
export { type LossWeightOptions, lossWeights } from "./src/objective/loss_weights.ts";
export type {
  OwnAdvantageBatch,
  OwnObjective,
  OwnSurrogate,
  OwnWeightBatch,
} from "./src/objective/own_objective.ts";
export { type KlEstimator } from "./src/objective/kl.ts";
export type { PolicyLoss } from "./src/objective/surrogate.ts";

// Tasks.
export {
  ANSWER_REWARDS,
  type AnswerReward,
  type AnswerRewardName,
} from "./src/tasks/answer_rewards.ts";
export { type AnswerRow, answerTask, type AnswerTaskOptions } from "./src/tasks/answer_task.ts";
export { lastBoxed, sameMath } from "./src/tasks/math_answer.ts";
export type {
  Demonstration,
  Judgement,
  Problem,
  Split,
  SymbolicTask,
  Task,
  TaskDefaults,
  Verdict,
} from "./src/task/task.ts";
export { isSolved } from "./src/task/solved.ts";
export { type DefinedTask, defineTask, type TaskDefinition } from "./src/task/define_task.ts";
export { jsonlDataset, type JsonlRow, type Prompt, type PromptRow } from "./src/task/dataset.ts";
export { type PromptDefinition, type PromptFunction } from "./src/task/prompt_source.ts";
export { randomPrompts, type RandomPromptsOptions } from "./src/task/random_prompts.ts";
export { drawFrom, splitOf, streamOf } from "./src/task/split.ts";
export {
  type Reward,
  type RewardDefinition,
  type RewardFunction,
  type Sample,
} from "./src/task/reward_functions.ts";
export { symbolTokenizer, type Tokenizer } from "./src/task/tokenizer.ts";
export {
  chainSum,
  type ChainSumOptions,
  type ChainSumProblem,
  countdown,
  type CountdownOptions,
  type CountdownProblem,
  maze,
  type MazeOptions,
  type MazeProblem,
  mazeSmall,
  parity,
  type ParityOptions,
  type ParityProblem,
  taskByName,
  taskNames,
} from "./src/tasks/mod.ts";

// Runs that stop and go on.
export { readTuned, type TunedKernels } from "./src/run/tuned_kernels.ts";
export { MetricsLog, type MetricsLogOptions } from "./src/run/metrics_log.ts";
export { type MetricsRecord, type MetricValue, readMetrics } from "./src/run/metrics_log.ts";
export { TensorBoardLog, type TensorBoardLogOptions } from "./src/run/tensorboard_log.ts";
export {
  type Checkpointable,
  readTrainerState,
  restoreTrainer,
  saveTrainerCheckpoint,
  type TrainerState,
} from "./src/run/trainer_checkpoint.ts";
