/**
 * Advantages of responses against the others to the same prompt, on the GPU.
 *
 * @module
 */

import code from "../../kernels/response_advantages.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import {
  type AdvantageEstimator,
  ADVANTAGES,
  REWARD_SCALES,
  type RewardScale,
  rewardScale,
} from "../objective/advantage.ts";
import { teamKernel } from "./readers.ts";

/** Options of {@linkcode responseAdvantages}. */
export interface ResponseAdvantageOptions {
  /** The estimator. */
  advantageEstimator: AdvantageEstimator;
  /**
   * Divisor of the centred rewards: deviation over the prompt's group, over the batch, or 1. Default: `"group"` for
   * `"grpo"` and `"passK"`, which alone have a choice.
   */
  scaleRewards?: RewardScale | undefined;
  /** Responses per prompt G; divides B. */
  numGenerations: Param;
  /** Tokens of each response (B), u32; needed by `"opo"` and both `"reinforcePlusPlus"` estimators. */
  lengths?: Tensor | undefined;
  /**
   * What was taken off the rewards (B). It counts where they are not compared: in the mean that `"maxRl"` divides by, and
   * for a response alone in its group. Default: nothing.
   */
  origins?: Tensor | undefined;
  /**
   * 0 where a response could not be judged (B), u32: it counts nowhere and gets 0, as does one that is left with no other
   * of its group to be compared with. Default: nowhere.
   */
  judged?: Tensor | undefined;
  /** What is taken off the advantages in the end (B). Default: nothing. */
  penalties?: Tensor | undefined;
  /** Not 0 where a response gets advantage 0 after it has counted in the statistics (B), u32. Default: nowhere. */
  withheld?: Tensor | undefined;
  /** Name of the output below the current scope. Default `"advantages"`. */
  name?: string;
}

const NAMES = namesOf<ResponseAdvantageOptions>({
  advantageEstimator: true,
  scaleRewards: true,
  numGenerations: true,
  lengths: true,
  origins: true,
  judged: true,
  penalties: true,
  withheld: true,
  name: true,
});

/**
 * Advantage of every response, from the rewards of consecutive groups of G.
 *
 * The same numbers as `groupAdvantages`. Rewards must be finite, and
 * for `"maxRl"` not negative; that is for the caller to check.
 *
 * @param rewards (B).
 * @param options The estimator and the groups.
 * @returns (B).
 * @throws {RangeError} If an option does not suit the estimator, or (when the plan runs) G does not divide B.
 */
export function responseAdvantages(
  plan: Plan,
  rewards: Tensor,
  options: ResponseAdvantageOptions,
): Tensor {
  checkNames("responseAdvantages", options, NAMES);
  const { advantageEstimator, lengths, origins, judged, penalties, withheld } = options;
  const { name = "advantages" } = options;
  const scaleRewards = rewardScale(advantageEstimator, options.scaleRewards);
  const rule = ADVANTAGES[advantageEstimator];
  if (rule.byLength && lengths?.capacity !== rewards.capacity) {
    throw new RangeError(
      `responseAdvantages ${advantageEstimator} needs lengths of the shape of rewards ` +
        `${formatShape(rewards.shape)}: got ${lengths ? formatShape(lengths.shape) : "none"}`,
    );
  }
  for (const [column, tensor] of Object.entries({ origins, judged, penalties, withheld })) {
    if (tensor && tensor.capacity !== rewards.capacity) {
      throw new RangeError(
        `responseAdvantages needs ${column} of the shape of rewards ` +
          `${formatShape(rewards.shape)}: got ${formatShape(tensor.shape)}`,
      );
    }
  }
  const responses: Size = rewards.shape[0]!;
  const generations = () => {
    const size = paramNow(options.numGenerations);
    const least = advantageEstimator === "passK" ? 2 : 1;
    if (!Number.isInteger(size) || size < least || sizeNow(responses) % size !== 0) {
      throw new RangeError(
        `${plan.name}.${name}: numGenerations is ${size}: ${advantageEstimator} needs a whole number >= ${least} ` +
          `that divides the ${sizeNow(responses)} responses`,
      );
    }
    return size;
  };
  const kernel = (entryPoint: string) =>
    teamKernel(plan.gpu, {
      name: "response_advantages",
      code,
      entryPoint,
      constants: {
        ESTIMATOR: rule.code,
        SCALE: REWARD_SCALES[scaleRewards].code,
        WITH_ORIGINS: origins ? 1 : 0,
        WITH_UNJUDGED: judged ? 1 : 0,
      },
    });
  const params = { responses, generations };
  const walk = Math.ceil(sizeLimit(responses) / plan.gpu.traits.lanes);
  const once = () => sizeNow(responses) > 0 ? 1 : 0;
  // Bound in any case, read by the constants above alone.
  const optional = { judged: judged ?? rewards, origins: origins ?? rewards };

  let divisor = rewards; // not read unless the batch decides the scale
  if (scaleRewards === "batch") {
    divisor = plan.empty([1], `${name}.divisor`);
    plan.dispatch({
      kernel: kernel("deviation"),
      label: `${name}.deviation`,
      bindings: { rewards, judged: optional.judged, divisor_out: divisor },
      params,
      turns: 2 * walk,
      workgroups: once,
    });
  }
  let advantages = rewards;
  if (rule.compares) {
    advantages = plan.empty(rewards.shape, name);
    plan.dispatch({
      kernel: kernel("per_group"),
      label: `${name}.per_group`,
      bindings: {
        rewards,
        lengths: lengths ?? rewards,
        batch_divisor: divisor,
        ...optional,
        advantages,
      },
      params,
      turns: 5 * walk,
      workgroups: () => sizeNow(responses) / generations(),
    });
  }
  if (rule.whitens) {
    const centred = advantages;
    advantages = plan.empty(rewards.shape, `${name}.whitened`);
    plan.dispatch({
      kernel: kernel("whiten"),
      label: `${name}.whiten`,
      bindings: { rewards: centred, lengths: lengths!, judged: optional.judged, advantages },
      params,
      turns: 3 * walk,
      workgroups: once,
    });
  }
  if (penalties) {
    plan.dispatch({
      kernel: kernel("take_off"),
      label: `${name}.take_off`,
      bindings: { penalties, advantages },
      params,
      turns: walk,
      workgroups: once,
    });
  }
  if (withheld) {
    plan.dispatch({
      kernel: kernel("withhold"),
      label: `${name}.withhold`,
      bindings: { withheld, advantages },
      params,
      turns: walk,
      workgroups: once,
    });
  }
  return advantages;
}
