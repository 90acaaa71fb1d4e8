/**
 * A run's settings in the words of TRL, and what TRL cannot do.
 *
 * Written against TRL 1.16; 1.13 to 1.15 take the same.
 *
 * @module
 */

import { surrogateSettings } from "../objective/policy_loss.ts";
import type { PolicyLoss } from "../objective/surrogate.ts";
import { LORA_TARGET_SETS } from "../model/lora_options.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import {
  either,
  type EngineWeights,
  engineWeights,
  isSingleBatch,
  type OwnAdvantage,
  ownAdvantage,
  refusal,
} from "./engine_weights.ts";

/** What `deltal_trl.json` tells `train.py`, besides the task's name. */
export interface TrlWeights extends EngineWeights {
  /** How rewards become advantages. */
  readonly advantage: OwnAdvantage;
  /** Responses per rollout. */
  readonly batch: number;
  /** Responses per optimizer step. */
  readonly mini_batch: number;
  /** Tokens before the limit that are punished; 0 for none. */
  readonly soft_overlong_buffer: number;
  /** What a response that fills the limit loses. */
  readonly soft_overlong_penalty: number;
  /** PEFT's LoraConfig, or nothing. */
  readonly lora: Readonly<Record<string, unknown>> | null;
}

/** Settings for TRL. */
export interface TrlSettings {
  /** Fields of its GRPOConfig. */
  readonly config: Readonly<Record<string, string | number | boolean>>;
  /** What is not in them. */
  readonly weights: TrlWeights;
  /** What TRL will do in another way, a sentence each. */
  readonly limits: readonly string[];
}

/** TRL's `loss_type` of each surrogate it has; where it has the choice, `aggregated` by a loss type of the same weights. */
const LOSSES: Readonly<Partial<Record<PolicyLoss, { type: string; sequence?: true }>>> = {
  ppo: { type: "aggregated" },
  gspo: { type: "aggregated", sequence: true },
  luspo: { type: "luspo", sequence: true },
  cispo: { type: "cispo" },
  sapo: { type: "sapo" },
  vespo: { type: "vespo" },
};

/** Loss types that sum as an aggregation does; the others are made of the last one. */
const AGGREGATED: Readonly<Partial<Record<ResolvedTrainOptions["lossAggregation"], string>>> = {
  grpo: "grpo",
  dapo: "dapo",
  drGrpo: "dr_grpo",
};

/** How a loss type sums, in verl's words. */
function modeOf(type: string): string {
  if (["cispo", "dapo", "vespo"].includes(type)) return "token-mean";
  return type === "dr_grpo" ? "seq-mean-token-sum-norm" : "seq-mean-token-mean";
}

/**
 * Translates settings.
 *
 * @param options Every setting of a run.
 * @throws {RangeError} For a setting TRL has nothing for; the message says what to choose instead.
 */
export function trlSettings(options: ResolvedTrainOptions): TrlSettings {
  const { beta, lossAggregation, policyLoss, promptsPerStep, numGenerations } = options;
  const loss = LOSSES[policyLoss];
  const no = (setting: keyof ResolvedTrainOptions, advice: string) =>
    refusal("trl", setting, options[setting], advice);
  if (!loss) throw no("policyLoss", `choose ${either(Object.keys(LOSSES))}`);
  const { epsilon, epsilonHigh, dualClip } = surrogateSettings(options);
  if (policyLoss === "cispo" && epsilon < 1) throw no("epsilon", "it bounds cispo above alone: 1");
  const advantage = ownAdvantage(options);
  if (!advantage) throw no("advantageEstimator", "choose grpo, drGrpo, rloo or maxRl");
  if (options.dynamicSampling) throw no("dynamicSampling", "leave it out, or export to verl");
  if (beta > 0 && options.klInReward) throw no("klInReward", "put the divergence in the loss");
  if (beta > 0 && options.klEstimator !== "k3") throw no("klEstimator", "choose k3");
  const type = loss.type === "aggregated" ? AGGREGATED[lossAggregation] ?? "dr_grpo" : loss.type;
  const single = isSingleBatch(options);
  const batch = promptsPerStep * numGenerations;
  const miniBatch = single ? batch : options.miniBatchSize as number;
  const updates = options.numIterations * batch / miniBatch;

  const limits: string[] = [];
  if (!single) {
    limits.push(
      "TRL shuffles the responses of a rollout over its mini-batches, and weighs them over the rollout; here groups stay " +
        "together and are weighed within their mini-batch.",
    );
  }
  if (options.entropyCoef !== 0 || (beta > 0 && type !== AGGREGATED[lossAggregation])) {
    limits.push(
      `The divergence is averaged as ${type} does and the entropy over tokens; here they had the weights of the policy loss.`,
    );
  }
  if (options.weightDecay > 0 && options.loraRank === 0) {
    limits.push(
      "TRL takes no weight decay off norms and biases; here it comes off every parameter.",
    );
  }
  if (options.warmupSteps > 0) limits.push("TRL's warm-up begins with a step of learning rate 0.");
  const config = {
    loss_type: type,
    importance_sampling_level: loss.sequence ? "sequence" : "token",
    ...(policyLoss === "cispo" ? { epsilon_high: 1 + epsilonHigh } : {}),
    ...(loss.type === "aggregated" || policyLoss === "luspo"
      ? { epsilon, epsilon_high: epsilonHigh, ...(dualClip > 1 ? { delta: dualClip } : {}) }
      : {}),
    ...(policyLoss === "sapo"
      ? {
        sapo_temperature_pos: options.sapoTemperaturePos,
        sapo_temperature_neg: options.sapoTemperatureNeg,
      }
      : {}),
    scale_rewards: options.scaleRewards,
    num_generations: numGenerations,
    num_generations_eval: options.numGenerationsEval,
    per_device_eval_batch_size: options.numGenerationsEval,
    max_completion_length: options.maxCompletionLength,
    mask_truncated_completions: options.maskTruncatedCompletions,
    num_iterations: options.numIterations,
    temperature: options.temperature,
    top_k: options.topK,
    top_p: options.topP,
    ...(options.minP > 0 ? { min_p: options.minP } : {}),
    beta,
    ...(options.refSyncSteps > 0
      ? {
        sync_ref_model: true,
        ref_model_mixup_alpha: 1,
        ref_model_sync_steps: options.refSyncSteps * updates,
      }
      : {}),
    entropy_coef: options.entropyCoef,
    disable_dropout: true,
    learning_rate: options.learningRate,
    lr_scheduler_type: options.lrScheduler === "constant"
      ? "constant_with_warmup"
      : options.lrScheduler,
    warmup_steps: options.warmupSteps,
    weight_decay: options.weightDecay,
    adam_beta1: options.adamBeta1,
    adam_beta2: options.adamBeta2,
    max_grad_norm: options.maxGradNorm,
    max_steps: options.maxSteps * updates,
    seed: options.seed,
    logging_steps: 1,
    save_steps: 20 * updates,
    eval_strategy: options.evalSteps === 0 ? "no" : "steps",
    ...(options.evalSteps === 0 ? {} : { eval_steps: options.evalSteps * updates }),
    report_to: "none",
  };
  const lora = options.loraRank === 0 ? null : {
    r: options.loraRank,
    lora_alpha: options.loraAlpha || 2 * options.loraRank,
    target_modules: LORA_TARGET_SETS[options.loraTargetModules],
  };
  return {
    config,
    weights: {
      advantage,
      ...engineWeights("trl", options, modeOf(type), options.maxCompletionLength),
      batch,
      mini_batch: miniBatch,
      soft_overlong_buffer: options.softOverlongBuffer,
      soft_overlong_penalty: options.softOverlongPenalty,
      lora,
    },
    limits,
  };
}

/** Fields as YAML 1.1, to which `no` is false and a number with an exponent but no point a text. */
export function yaml(config: TrlSettings["config"]): string {
  const plain = (value: string | number | boolean) =>
    typeof value === "number" ? String(value).replace(/^(\d+)e/, "$1.0e") : JSON.stringify(value);
  return Object.entries(config).map(([name, value]) => `${name}: ${plain(value)}\n`).join("");
}
