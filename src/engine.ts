/**
 * The engine: tensors, plans of kernels, and operations that record their gradients, enough to write and train another model;
 * behind them the parts that policies and their training are put together from, for a loop of one's own.
 *
 * {@linkcode Gpu} comes from `openGpu` of `@deltal/deltal`. A {@linkcode Plan} is recorded once and replayed by
 * {@linkcode submit}; an operation is a function that records its kernels and what its backward pass does. Sizes that change
 * from run to run are a {@linkcode Dim}.
 *
 * @example A product and its gradient
 * ```ts
 * import { openGpu } from "@deltal/deltal";
 * import { linear, Plan, readTensor, submit } from "@deltal/deltal/engine";
 * import { assertEquals } from "@std/assert";
 *
 * const gpu = await openGpu();
 * const plan = new Plan(gpu, "example", { gradients: true });
 * const x = plan.input([2, 2], "x");
 * plan.requireGradient(x);
 * const weight = gpu.tensor([1, 2], { data: [10, 1] });
 * const y = plan.keep(linear(plan, x, weight)); // x weightᵀ: (2, 1)
 * plan.shareGradient(y, gpu.tensor([2, 1], { data: [1, -1] }));
 * plan.backward();
 * const dx = plan.keep(plan.gradientOf(x)!);
 * await plan.compile();
 *
 * gpu.write(x, [1, 2, 3, 4]);
 * submit(gpu, [plan]);
 * assertEquals([...await readTensor(gpu, y)], [12, 34]);
 * assertEquals([...await readTensor(gpu, dx)], [10, 1, -10, -1]);
 * plan.destroy();
 * await gpu.close();
 * ```
 *
 * @module
 */

// Devices, tensors, plans.
export type { OpenGpuOptions } from "./gpu/open.ts";
export type { AdapterSummary } from "./gpu/adapter.ts";
export type { MatrixUnit } from "./gpu/matrix_units.ts";
export { type DevicePeaks, measurePeaks } from "./ops/general/peaks.ts";
export type { DeviceTraits, ProductClass } from "./gpu/traits.ts";
export type { GpuCounters } from "./gpu/counters.ts";
export { Gpu } from "./gpu/device.ts";
export type { DeviceMemory } from "./gpu/memory.ts";
export type { GpuOptions } from "./gpu/options.ts";
export type { KernelChoices } from "./gpu/kernel.ts";
export { Arena, type Lifetime } from "./gpu/arena.ts";
export type { Kernel, KernelDescriptor, ParamField, StorageBinding } from "./gpu/kernel.ts";
export type { Command, DispatchDescriptor, DispatchTimer, Param } from "./gpu/command.ts";
export { Plan, type PlanOptions } from "./gpu/plan.ts";
export type { Recorder } from "./gpu/recorder.ts";
export type { Tape } from "./gpu/tape.ts";
export { type ProfileEntry, Profiler } from "./gpu/profile.ts";
export type { HostArray } from "./gpu/host_array.ts";
export { locateNonFinite, type NonFinite } from "./gpu/locate_non_finite.ts";
export { type HostArraysOf, Readback } from "./gpu/readback.ts";
export { readTensor, submit, type Work } from "./gpu/submit.ts";
export {
  Dim,
  type DType,
  type Size,
  sizeLimit,
  sizeNow,
  type Storage,
  Tensor,
} from "./gpu/tensor.ts";

// Operations; those of models record their gradients.
export { adamw, type AdamwOptions, type AdamwTensors, type MomentDType } from "./ops/adamw.ts";
export { attention, type AttentionOptions } from "./ops/attention.ts";
export {
  attentionDecode,
  type AttentionDecodeInputs,
  type AttentionDecodeOptions,
} from "./ops/attention_decode.ts";
export { embedding, type EmbeddingIndex, embeddingIndex } from "./ops/embedding.ts";
export { feedForward, type FeedForwardAdapters } from "./ops/feed_forward.ts";
export { type FlatOptions } from "./ops/flat_ranges.ts";
export { gradNorm, type GradNormOptions } from "./ops/grad_norm.ts";
export { headLogProb, type HeadLogProbOptions } from "./ops/head_log_prob.ts";
export { headNorm, type HeadNormOptions } from "./ops/head_norm.ts";
export { headSample, type HeadSampleOptions } from "./ops/head_sample.ts";
export { type ResponseAdvantageOptions, responseAdvantages } from "./ops/response_advantages.ts";
export { type ResponseWeightOptions, responseWeights } from "./ops/response_weights.ts";
export { logProb, type LogProbOptions, type ScoredItems, type Scores } from "./ops/log_prob.ts";
export { addLora, type LoraWeights, widenLora } from "./ops/lora.ts";
export { linear, type LinearOptions, matmul, type MatmulOptions } from "./ops/matmul/linear.ts";
export type { PackedLayout } from "./ops/packed_layout.ts";
export { POLICY_LOSS_STATS, policyLoss } from "./ops/policy_loss.ts";
export type { PolicyLossInputs, PolicyLossNumbers } from "./ops/policy_loss_inputs.ts";
export { responseKl, type ResponseKlInputs } from "./ops/response_kl.ts";
export { rmsNorm, type RmsNormOptions } from "./ops/rms_norm.ts";
export type { HeadLayout, RopeOptions } from "./ops/rope.ts";
export {
  type LinearRopeScaling,
  type Llama3RopeScaling,
  type RopeScaling,
  type Rotation,
  rotationAngles,
} from "./ops/rotation.ts";
export { type ItemPlaces, scatterItems } from "./ops/scatter_items.ts";
export {
  type LogitRows,
  sample,
  type SampleOptions,
  type SampleState,
  type Truncation,
} from "./ops/sample.ts";
export { swiglu } from "./ops/swiglu.ts";

// Operations that the policies here have no use for, for other models.
export { add } from "./ops/general/add.ts";
export {
  columnSum,
  type ReduceAxis,
  reduceMax,
  type ReduceOptions,
  reduceSum,
} from "./ops/general/reduce.ts";
export { rope } from "./ops/general/rope.ts";
export { softmax } from "./ops/general/softmax.ts";

// Parts of a policy, and its files.
export { PackedInputs } from "./model/packed_inputs.ts";
export { type Attend, type AttentionHeads, decoder, encode, headsOf } from "./model/transformer.ts";
export {
  countParameters,
  type ParameterShape,
  parameterShapes,
  resolveConfig,
} from "./model/config.ts";
export type { ModelType } from "./model/families.ts";
export type { PolicyStorageOptions } from "./model/policy_storage.ts";
export { type FinishedSequence, type Generated, Generator } from "./model/generate.ts";
export type { GenerationRequest } from "./model/generate_request.ts";
export type { GeneratorCapacity } from "./model/generator_capacity.ts";
export type { TruncationOptions } from "./model/truncation.ts";
export {
  type Checkpoint,
  loadCheckpoint,
  type ParameterSource,
  saveCheckpoint,
  type SaveCheckpointOptions,
} from "./model/hf_checkpoint.ts";
export type { TokenizerFiles } from "./model/tokenizer_files.ts";
export { type PackedBatch, type PromptGroup } from "./model/packing.ts";
export { Parameters } from "./model/parameters.ts";
export type { LayerParameters, PolicyWeights } from "./model/policy_weights.ts";
export { Adapters, type LayerAdapters } from "./model/adapters.ts";
export {
  LORA_TARGET_SETS,
  LORA_TARGETS,
  type LoraTarget,
  type LoraTargetSet,
  type ResolvedLoraOptions,
} from "./model/lora_options.ts";
export type { ParameterRange } from "./model/parameter_range.ts";
export { type OptimizedParameters } from "./optim/adamw_optimizer.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContents,
  type SafetensorsTensor,
  writeSafetensors,
} from "./files/safetensors.ts";
export { SafetensorsFile } from "./files/safetensors_file.ts";
export type {
  SafetensorsDtype,
  SafetensorsInfo,
  SafetensorsSpec,
} from "./files/safetensors_header.ts";

// Parts of a step of reinforcement learning.
export { Learner } from "./rl/learner.ts";
export type {
  LearnerBatch,
  LearnerObjective,
  LearnerReport,
  LearnerStep,
} from "./rl/learner_parts.ts";
export { policyLossSettings } from "./objective/policy_loss.ts";
export type { ClipKind, PolicyLossOptions, PolicyLossSettings } from "./objective/surrogate.ts";
export { Reference, type ReferenceOptions } from "./rl/reference.ts";
export { type Rollout, rollOut, type RolloutRequest } from "./rl/rollout.ts";
