/**
 * A run's settings in the words of verl, and what verl cannot do.
 *
 * Written against verl 0.9.1 with its v1 trainer.
 *
 * @module
 */

import { ADVANTAGES } from "../objective/advantage.ts";
import { AGGREGATIONS } from "../objective/aggregation.ts";
import { LORA_TARGET_SETS } from "../model/lora_options.ts";
import { KL_ESTIMATORS } from "../objective/kl.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { SURROGATES } from "../objective/surrogate.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import {
  either,
  type EngineWeights,
  engineWeights,
  isSingleBatch,
  type OwnAdvantage,
  ownAdvantage,
  refusal as refusalOf,
} from "./engine_weights.ts";

/** What `deltal_verl.json` tells the Python side. */
export interface VerlWeights extends EngineWeights {
  /** How rewards become advantages. */
  readonly advantage: OwnAdvantage | {
    readonly estimator: "verl";
    readonly name: string;
    /** Whether verl's estimator divides by the deviation, where it has the choice. */
    readonly norm_adv_by_std_in_grpo?: boolean;
  };
}

/** Settings for verl. */
export interface VerlSettings {
  /** Overrides of verl's configuration, by key. */
  readonly overrides: ReadonlyMap<string, string>;
  /** Settings of the registered advantage estimator; absent where verl's own suffice. */
  readonly weights: VerlWeights | undefined;
  /** What verl will do in another way, a sentence each. */
  readonly limits: readonly string[];
}

/** Stands for "no bound" where verl wants a number. */
const UNBOUNDED = "1e9";

/**
 * Translates settings.
 *
 * @param options Every setting of a run.
 * @throws {RangeError} For a setting verl has nothing for; the message says what to choose instead.
 */
export function verlSettings(options: ResolvedTrainOptions): VerlSettings {
  const surrogate = SURROGATES[options.policyLoss];
  if (surrogate.verl === undefined) {
    const known = Object.entries(SURROGATES).flatMap(([name, { verl }]) => verl ? [name] : []);
    throw refusal("policyLoss", options.policyLoss, `choose ${either(known)}`);
  }
  if (options.maskTruncatedCompletions) {
    throw refusal("maskTruncatedCompletions", true, "choose overlongFiltering");
  }
  if (options.klAfterNormalization) {
    throw refusal("klAfterNormalization", true, "leave it out, or put the divergence in the loss");
  }
  if (options.refSyncSteps > 0) {
    throw refusal("refSyncSteps", options.refSyncSteps, "verl keeps the reference it began with");
  }
  if (options.minP > 0) {
    throw refusal("minP", options.minP, "its rollouts have topK and topP alone");
  }
  if (options.lrScheduler === "linear") {
    throw refusal("lrScheduler", options.lrScheduler, "choose cosine or constant");
  }
  const limits: string[] = [];
  const { mode, weights } = aggregation(options, surrogate.verlAggregation);
  const settings = surrogateSettings(options);
  const deviates = options.lossAggregation === "deltaL" || options.lossAggregation === "promptMean";
  if (deviates && (options.entropyCoef !== 0 || (options.beta > 0 && !options.klInReward))) {
    limits.push(
      "The divergence and entropy terms are averaged by loss_agg_mode; here they had the weights of the policy loss.",
    );
  }
  const kl = options.beta > 0;
  if (kl && options.klInReward) {
    limits.push("verl takes the divergence of each token off the reward of that token.");
  }
  if (options.dynamicSampling) {
    limits.push(
      `verl's v1 trainer samples until the batch is full; maxGenBatches = ${options.maxGenBatches} has no counterpart.`,
    );
  }
  const overrides = new Map<string, string>(Object.entries({
    "algorithm.adv_estimator": weights ? "deltal" : nativeEstimator(options),
    "algorithm.norm_adv_by_std_in_grpo": python(dividesByDeviation(options)),
    "algorithm.use_kl_in_reward": python(kl && options.klInReward),
    ...(kl && options.klInReward
      ? {
        "algorithm.kl_penalty": KL_ESTIMATORS[options.klEstimator].verl,
        "algorithm.kl_ctrl.kl_coef": String(options.beta),
      }
      : {}),
    ...(options.dynamicSampling
      ? { "algorithm.filter_groups.enable": "True", "algorithm.filter_groups.metric": "score" }
      : {}),
    "data.train_batch_size": String(options.promptsPerStep),
    "data.max_response_length": String(options.maxCompletionLength),
    "data.filter_overlong_prompts": "False",
    "data.truncation": "error",
    "data.seed": String(options.seed),
    "actor_rollout_ref.actor.policy_loss.loss_mode": surrogate.verl,
    "actor_rollout_ref.actor.loss_agg_mode": mode,
    ...(mode === "seq-mean-token-sum-norm"
      ? { "actor_rollout_ref.actor.loss_scale_factor": String(options.lossScaleFactor) }
      : {}),
    ...clipping(options.policyLoss, settings),
    ...(options.policyLoss === "sapo"
      ? {
        "actor_rollout_ref.actor.tau_pos": String(settings.sapoTemperaturePos),
        "actor_rollout_ref.actor.tau_neg": String(settings.sapoTemperatureNeg),
      }
      : {}),
    ...lora(options),
    "actor_rollout_ref.actor.ppo_mini_batch_size": String(
      options.miniBatchSize === "all"
        ? options.promptsPerStep
        : options.miniBatchSize / options.numGenerations,
    ),
    "actor_rollout_ref.actor.ppo_epochs": String(options.numIterations),
    "actor_rollout_ref.actor.use_dynamic_bsz": "True",
    "actor_rollout_ref.actor.grad_clip": options.maxGradNorm === 0
      ? UNBOUNDED
      : String(options.maxGradNorm),
    "actor_rollout_ref.actor.entropy_coeff": String(options.entropyCoef),
    "actor_rollout_ref.actor.use_kl_loss": python(kl && !options.klInReward),
    ...(kl && !options.klInReward
      ? {
        "actor_rollout_ref.actor.kl_loss_coef": String(options.beta),
        "actor_rollout_ref.actor.kl_loss_type": KL_ESTIMATORS[options.klEstimator].verl,
      }
      : {}),
    "actor_rollout_ref.actor.optim.lr": String(options.learningRate),
    "actor_rollout_ref.actor.optim.weight_decay": String(options.weightDecay),
    "actor_rollout_ref.actor.optim.betas": `[${options.adamBeta1},${options.adamBeta2}]`,
    "actor_rollout_ref.actor.optim.lr_warmup_steps": String(options.warmupSteps),
    "actor_rollout_ref.actor.optim.lr_scheduler_type": options.lrScheduler,
    "actor_rollout_ref.rollout.name": "vllm",
    "actor_rollout_ref.rollout.n": String(options.numGenerations),
    "actor_rollout_ref.rollout.temperature": String(options.temperature),
    "actor_rollout_ref.rollout.top_k": verlTopK(options),
    "actor_rollout_ref.rollout.top_p": String(options.topP),
    "actor_rollout_ref.rollout.seed": String(options.seed),
    "actor_rollout_ref.rollout.val_kwargs.n": String(options.numGenerationsEval),
    "actor_rollout_ref.rollout.val_kwargs.temperature": String(options.temperature),
    "actor_rollout_ref.rollout.val_kwargs.top_k": verlTopK(options),
    "actor_rollout_ref.rollout.val_kwargs.top_p": String(options.topP),
    "actor_rollout_ref.rollout.val_kwargs.do_sample": "True",
    "critic.enable": "False",
    ...overlong(options),
    "trainer.total_training_steps": String(options.maxSteps),
    "trainer.test_freq": String(options.evalSteps === 0 ? -1 : options.evalSteps),
  }));
  return { overrides, weights, limits };
}

/** verl's aggregation, and the weights it needs besides. */
function aggregation(
  options: ResolvedTrainOptions,
  fixed: string | undefined,
): { mode: string; weights: VerlWeights | undefined } {
  const { lossAggregation } = options;
  const native = AGGREGATIONS[lossAggregation].verl;
  const mode = fixed ?? native ?? "seq-mean-token-sum-norm";
  const weights = engineWeights("verl", options, mode, options.lossScaleFactor);
  if (fixed !== undefined && lossAggregation === "dapo" && !isSingleBatch(options)) {
    throw refusal(
      "lossAggregation",
      lossAggregation,
      `choose grpo: verl's ${options.policyLoss} does not know the tokens of the mini-batch`,
    );
  }
  const ownEstimator = options.advantageEstimator === "maxRl" || options.scaleRewards === "batch";
  if (mode === native && !ownEstimator && !options.overlongFiltering) {
    return { mode, weights: undefined };
  }
  if (mode === "token-mean") {
    throw refusal(
      options.overlongFiltering ? "overlongFiltering" : "advantageEstimator",
      options.overlongFiltering ? true : options.advantageEstimator,
      "it does not go with lossAggregation dapo in verl, choose another aggregation",
    );
  }
  return { mode, weights: { advantage: advantageOf(options), ...weights } };
}

function advantageOf(options: ResolvedTrainOptions): VerlWeights["advantage"] {
  const own = ownAdvantage(options);
  if (own) return own;
  const { advantageEstimator } = options;
  if (advantageEstimator !== "passK") {
    return { estimator: "verl", name: ADVANTAGES[advantageEstimator].verl! };
  }
  return {
    estimator: "verl",
    name: "grpo_passk",
    norm_adv_by_std_in_grpo: dividesByDeviation(options),
  };
}

function nativeEstimator({ advantageEstimator }: ResolvedTrainOptions): string {
  return ADVANTAGES[advantageEstimator].verl ?? "grpo";
}

function dividesByDeviation({ advantageEstimator, scaleRewards }: ResolvedTrainOptions): boolean {
  const chooses = ADVANTAGES[advantageEstimator].scales.length > 1;
  return chooses ? scaleRewards !== "none" : advantageEstimator !== "drGrpo";
}

function clipping(
  policyLoss: ResolvedTrainOptions["policyLoss"],
  { epsilon, epsilonHigh, dualClip }: { epsilon: number; epsilonHigh: number; dualClip: number },
): Record<string, string> {
  if (!("epsilon" in SURROGATES[policyLoss].defaults)) return {};
  return {
    "actor_rollout_ref.actor.clip_ratio_low": String(epsilon),
    "actor_rollout_ref.actor.clip_ratio_high": String(epsilonHigh),
    "actor_rollout_ref.actor.clip_ratio_c": dualClip > 1 ? String(dualClip) : UNBOUNDED,
  };
}

function overlong(options: ResolvedTrainOptions): Record<string, string> {
  if (options.softOverlongBuffer === 0) return {};
  return {
    "reward.reward_manager.name": "dapo",
    "+reward.reward_kwargs.max_resp_len": String(options.maxCompletionLength),
    "+reward.reward_kwargs.overlong_buffer_cfg.enable": "True",
    "+reward.reward_kwargs.overlong_buffer_cfg.len": String(options.softOverlongBuffer),
    "+reward.reward_kwargs.overlong_buffer_cfg.penalty_factor": String(options.softOverlongPenalty),
    "+reward.reward_kwargs.overlong_buffer_cfg.log": "False",
  };
}

function lora({ loraRank, loraAlpha, loraTargetModules }: ResolvedTrainOptions) {
  if (loraRank === 0) return {};
  return {
    "actor_rollout_ref.model.lora_rank": String(loraRank),
    "actor_rollout_ref.model.lora_alpha": String(loraAlpha || 2 * loraRank),
    "actor_rollout_ref.model.target_modules": `[${LORA_TARGET_SETS[loraTargetModules]}]`,
  };
}

function python(value: boolean): string {
  return value ? "True" : "False";
}

/** vLLM's word for all is -1. */
function verlTopK({ topK }: ResolvedTrainOptions): string {
  return String(topK === 0 ? -1 : topK);
}

function refusal(setting: string, value: unknown, advice: string): RangeError {
  return refusalOf("verl", setting, value, advice);
}
