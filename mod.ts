/**
 * Reinforcement learning with verifiable rewards for small language models, entirely on the GPU.
 *
 * The library has layers, each usable without those above it:
 *
 * - **The engine**: {@linkcode openGpu}, {@linkcode Tensor}, {@linkcode Plan} and operations with gradients, enough to
 *   write and train another model.
 * - **The policy**: {@linkcode Policy}, a transformer of the Llama/Qwen2 family that loads and saves Hugging Face folders,
 *   scores and generates.
 * - **Reinforcement learning**: {@linkcode train} for a whole run, {@linkcode Trainer} for one step at a time,
 *   {@linkcode policyGradient}, {@linkcode groupAdvantages}, {@linkcode lossWeights} and {@linkcode AdamW} for a loop of
 *   one's own.
 * - **Tasks**: {@linkcode defineTask} for one's own, and {@linkcode parity}, {@linkcode chainSum},
 *   {@linkcode countdown} and {@linkcode maze}.
 *
 * Models with a tokenizer are the entry point `@deltal/deltal/text`; the command line is `@deltal/deltal/cli`.
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
 *   verify: ({ prompt, completion }) => completion === prompt,
 *   maxCompletionLength: 3,
 * });
 *
 * const gpu = await openGpu();
 * const policy = Policy.create(gpu, {
 *   vocabSize: tokenizer.vocabulary.length,
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

// The engine: devices, tensors, plans.
export type { AdapterSummary } from "./src/gpu/adapter.ts";
export type { DeviceTraits, ProductClass } from "./src/gpu/traits.ts";
export type { GpuCounters } from "./src/gpu/counters.ts";
export { Gpu, type GpuOptions } from "./src/gpu/device.ts";
export type { KernelChoices } from "./src/gpu/kernel.ts";
export { openGpu, type OpenGpuOptions } from "./src/gpu/open.ts";
export { Arena, type Lifetime } from "./src/gpu/arena.ts";
export type { Kernel, KernelDescriptor, ParamField, StorageBinding } from "./src/gpu/kernel.ts";
export type { Command, DispatchDescriptor, DispatchTimer, Param } from "./src/gpu/command.ts";
export { Plan, type PlanOptions } from "./src/gpu/plan.ts";
export type { Recorder } from "./src/gpu/recorder.ts";
export type { Tape } from "./src/gpu/tape.ts";
export { type ProfileEntry, Profiler } from "./src/gpu/profile.ts";
export { Random } from "./src/random/random.ts";
export type { HostArray } from "./src/gpu/host_array.ts";
export { locateNonFinite, type NonFinite } from "./src/gpu/locate_non_finite.ts";
export { type HostArraysOf, Readback } from "./src/gpu/readback.ts";
export { readTensor, submit, type Work } from "./src/gpu/submit.ts";
export {
  Dim,
  type DType,
  type Size,
  sizeLimit,
  sizeNow,
  type Storage,
  Tensor,
} from "./src/gpu/tensor.ts";

// Operations; those of models record their gradients.
export { adamw, type AdamwOptions, type AdamwTensors } from "./src/ops/adamw.ts";
export { attention, type AttentionOptions } from "./src/ops/attention.ts";
export {
  attentionDecode,
  type AttentionDecodeInputs,
  type AttentionDecodeOptions,
} from "./src/ops/attention_decode.ts";
export { embedding, type EmbeddingIndex, embeddingIndex } from "./src/ops/embedding.ts";
export { feedForward, type FeedForwardAdapters } from "./src/ops/feed_forward.ts";
export { type FlatOptions } from "./src/ops/flat_ranges.ts";
export { gradNorm, type GradNormOptions } from "./src/ops/grad_norm.ts";
export { headLogProb, type HeadLogProbOptions } from "./src/ops/head_log_prob.ts";
export { headNorm, type HeadNormOptions } from "./src/ops/head_norm.ts";
export { headSample, type HeadSampleOptions } from "./src/ops/head_sample.ts";
export {
  type ResponseAdvantageOptions,
  responseAdvantages,
} from "./src/ops/response_advantages.ts";
export { type ResponseWeightOptions, responseWeights } from "./src/ops/response_weights.ts";
export { logProb, type LogProbOptions, type ScoredItems, type Scores } from "./src/ops/log_prob.ts";
export { addLora, type LoraWeights, widenLora } from "./src/ops/lora.ts";
export { linear, type LinearOptions, matmul, type MatmulOptions } from "./src/ops/matmul/linear.ts";
export type { PackedLayout } from "./src/ops/packed_layout.ts";
export {
  POLICY_LOSS_STATS,
  policyLoss,
  type PolicyLossInputs,
  type PolicyLossNumbers,
} from "./src/ops/policy_loss.ts";
export { responseKl, type ResponseKlInputs } from "./src/ops/response_kl.ts";
export { rmsNorm, type RmsNormOptions } from "./src/ops/rms_norm.ts";
export type { HeadLayout, RopeOptions } from "./src/ops/rope.ts";
export {
  type LinearRopeScaling,
  type Llama3RopeScaling,
  type RopeScaling,
  type Rotation,
  rotationAngles,
} from "./src/ops/rotation.ts";
export { type ItemPlaces, scatterItems } from "./src/ops/scatter_items.ts";
export { type LogitRows, sample, type SampleOptions, type SampleState } from "./src/ops/sample.ts";
export { swiglu } from "./src/ops/swiglu.ts";

// Operations that the policies here have no use for, for other models.
export { add } from "./src/ops/general/add.ts";
export {
  columnSum,
  type ReduceAxis,
  reduceMax,
  type ReduceOptions,
  reduceSum,
} from "./src/ops/general/reduce.ts";
export { rope } from "./src/ops/general/rope.ts";
export { softmax } from "./src/ops/general/softmax.ts";

// The policy and its files.
export {
  countParameters,
  type ParameterShape,
  parameterShapes,
  type PolicyConfig,
  type PolicyConfigOptions,
  resolveConfig,
} from "./src/model/config.ts";
export { type ModelType } from "./src/model/families.ts";
export {
  type FinishedSequence,
  type Generated,
  type GenerationRequest,
  Generator,
  type GeneratorCapacity,
} from "./src/model/generate.ts";
export {
  type Checkpoint,
  loadCheckpoint,
  type ParameterSource,
  saveCheckpoint,
  type SaveCheckpointOptions,
} from "./src/model/hf_checkpoint.ts";
export { PackedInputs } from "./src/model/packed_inputs.ts";
export { type PackedBatch, type PromptGroup } from "./src/model/packing.ts";
export {
  type LayerParameters,
  Parameters,
  type PolicyWeights,
  type StoredDType,
} from "./src/model/parameters.ts";
export { Policy } from "./src/model/policy.ts";
export type { PolicyStorageOptions } from "./src/model/policy_storage.ts";
export type { GenerateOptions, Generation } from "./src/model/generate_request.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContents,
  SafetensorsFile,
  type SafetensorsTensor,
  writeSafetensors,
} from "./src/files/safetensors.ts";
export {
  type SafetensorsDtype,
  type SafetensorsInfo,
  type SafetensorsSpec,
} from "./src/files/safetensors_header.ts";
export { type TokenizerFiles } from "./src/model/tokenizer_files.ts";
export type { SavePolicyOptions } from "./src/model/save_weights.ts";
export { Adapters, type LayerAdapters } from "./src/model/adapters.ts";
export type { ParameterRange } from "./src/model/parameter_range.ts";
export {
  LORA_TARGET_SETS,
  LORA_TARGETS,
  type LoraOptions,
  type LoraTarget,
  type LoraTargetSet,
  type ResolvedLoraOptions,
} from "./src/model/lora_options.ts";
export { type Attend, decoder, encode, headsOf } from "./src/model/transformer.ts";
export type { AttentionHeads } from "./src/model/transformer.ts";

// The optimizer.
export { AdamW, type AdamWOptions, type OptimizedParameters } from "./src/optim/adamw_optimizer.ts";
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
export { type PresetOptions, presetOptions, PRESETS } from "./src/rl/presets.ts";
export { type Preset } from "./src/rl/train_options.ts";
export { describeMemory, type MemoryPlan, planMemory, requireMemory } from "./src/rl/memory.ts";
export { describeObjective } from "./src/rl/describe_objective.ts";
export { Reference, type ReferenceOptions } from "./src/rl/reference.ts";
export { type SoftOverlongOptions, softOverlongPunishment } from "./src/objective/overlong.ts";
export { WarmStart, type WarmStartOptions, type WarmStartReport } from "./src/rl/warm_start.ts";
export { evaluate, type Evaluation, type EvaluationOptions } from "./src/rl/evaluation.ts";
export { type SampleSummary } from "./src/rl/sample_summary.ts";
export { passAtK } from "./src/objective/pass_at_k.ts";
export { monotonicityScore } from "./src/lab/monotonicity.ts";
export { probe, type ProbeReport, type ProbeVerdict } from "./src/rl/probe.ts";
export {
  type PolicyGradient,
  policyGradient,
  type PolicyGradientOptions,
} from "./src/rl/policy_gradient.ts";
export type { PolicyGradientBatch } from "./src/rl/policy_gradient_batch.ts";
export {
  Learner,
  type LearnerBatch,
  type LearnerObjective,
  type LearnerReport,
  type LearnerStep,
} from "./src/rl/learner.ts";
export { type Rollout, rollOut, type RolloutRequest } from "./src/rl/rollout.ts";
export {
  type AdvantageEstimator,
  type AdvantageOptions,
  groupAdvantages,
  type RewardScale,
} from "./src/objective/advantage.ts";
export {
  type AggregationSettings,
  lengthWeights,
  type LossAggregation,
  type LossScope,
} from "./src/objective/aggregation.ts";
export { type LossWeightOptions, lossWeights } from "./src/objective/loss_weights.ts";
export {
  effectiveSampleSize,
  type EstimatorStatistics,
  estimatorStatistics,
} from "./src/objective/estimator_statistics.ts";
export { type IndexRange } from "./src/objective/groups.ts";
export type {
  OwnAdvantageBatch,
  OwnObjective,
  OwnSurrogate,
  OwnWeightBatch,
} from "./src/objective/own_objective.ts";
export { type KlEstimate, klEstimate, type KlEstimator } from "./src/objective/kl.ts";
export {
  policyLossSettings,
  responsePolicyLoss,
  tokenPolicyLoss,
} from "./src/objective/policy_loss.ts";
export {
  type ClipKind,
  type PolicyLoss,
  type PolicyLossOptions,
  type PolicyLossSettings,
  type ResponseLoss,
  type SurrogateNumbers,
  type TokenLoss,
} from "./src/objective/surrogate.ts";

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
  PolicySize,
  Problem,
  RlSettings,
  Split,
  SymbolicTask,
  Task,
  TaskDefaults,
  Verdict,
  WarmStartSettings,
} from "./src/task/task.ts";
export { isSolved, maxRewardOf, rewardsDiffer, sameReward } from "./src/task/solved.ts";
export { type DefinedTask, defineTask, type TaskDefinition } from "./src/task/define_task.ts";
export {
  jsonlDataset,
  type JsonlOptions,
  type JsonlRow,
  type Prompt,
  type PromptRow,
} from "./src/task/dataset.ts";
export { type PromptDefinition, type PromptFunction } from "./src/task/prompt_source.ts";
export { randomPrompts, type RandomPromptsOptions } from "./src/task/random_prompts.ts";
export { drawFrom, splitOf, streamOf } from "./src/task/split.ts";
export {
  type Reward,
  type RewardDefinition,
  type RewardFunction,
  type Sample,
} from "./src/task/reward_functions.ts";
export {
  type ChatMessage,
  type ChatTemplateKwargs,
  type DecodeOptions,
  type EncodeOptions,
  symbolTokenizer,
  type Tokenizer,
} from "./src/task/tokenizer.ts";
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
