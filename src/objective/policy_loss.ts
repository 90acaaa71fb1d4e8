/** Policy losses by any surrogate: its settings, and its float64 values and derivatives. */

import { checkNames, namesOf } from "../input/names.ts";
import { checkNumber, checkNumbers } from "./check_numbers.ts";
import { ruleOf } from "./rule.ts";
import {
  type PolicyLossOptions,
  type PolicyLossSettings,
  type ResponseLoss,
  type SurrogateNumbers,
  SURROGATES,
  type TokenLoss,
} from "./surrogate.ts";

const NAMES = namesOf<PolicyLossOptions>({
  policyLoss: true,
  epsilon: true,
  epsilonHigh: true,
  dualClip: true,
  sapoTemperaturePos: true,
  sapoTemperatureNeg: true,
});

/**
 * Fills in the defaults of a surrogate. What it does not read becomes 0, or 1 for a temperature.
 *
 * @throws {RangeError} For an unknown surrogate and for settings outside their range.
 * @throws {TypeError} If there is no such option.
 */
export function policyLossSettings(options: PolicyLossOptions = {}): PolicyLossSettings {
  checkNames("policyLossSettings", options, NAMES);
  return surrogateSettings(options);
}

/** {@linkcode policyLossSettings} of options that have more than a surrogate's. */
export function surrogateSettings(options: PolicyLossOptions): PolicyLossSettings {
  const { policyLoss = "ppo" } = options;
  const { defaults } = ruleOf(SURROGATES, "policyLoss", policyLoss);
  const number = (name: keyof SurrogateNumbers, none: number) =>
    name in defaults ? options[name] ?? defaults[name]! : none;
  const epsilon = number("epsilon", 0);
  const epsilonHigh = "epsilonHigh" in defaults && options.epsilonHigh === undefined
    ? options.epsilon ?? defaults.epsilonHigh!
    : number("epsilonHigh", 0);
  const dualClip = number("dualClip", 0);
  const sapoTemperaturePos = number("sapoTemperaturePos", 1);
  const sapoTemperatureNeg = number("sapoTemperatureNeg", 1);
  const logarithmic = policyLoss === "gmpo";
  if (!(epsilon >= 0 && (epsilon <= 1 || logarithmic) && epsilon < Infinity)) {
    throw new RangeError(`epsilon is ${epsilon}: give a number >= 0, up to 1 except for gmpo`);
  }
  if (!(epsilonHigh >= 0 && epsilonHigh < Infinity)) {
    throw new RangeError(`epsilonHigh is ${epsilonHigh}: give a number >= 0`);
  }
  if (!(dualClip === 0 || (dualClip > 1 && dualClip < Infinity))) {
    throw new RangeError(`dualClip is ${dualClip}: give a number > 1, or 0 for none`);
  }
  for (const temperature of [sapoTemperaturePos, sapoTemperatureNeg]) {
    if (!(temperature > 0 && temperature < Infinity)) {
      throw new RangeError(`A SAPO temperature is ${temperature}: give a number > 0`);
    }
  }
  return { policyLoss, epsilon, epsilonHigh, dualClip, sapoTemperaturePos, sapoTemperatureNeg };
}

/**
 * Loss and derivative of one token under a token-level surrogate.
 *
 * @param logProb ln π(token) under the policy being trained.
 * @param oldLogProb ln π_old(token) under the policy that sampled it.
 * @param advantage A of the token's response.
 * @throws {RangeError} For surrogates that need the whole response, such as `"gspo"`.
 */
export function tokenPolicyLoss(
  logProb: number,
  oldLogProb: number,
  advantage: number,
  settings: PolicyLossSettings,
): TokenLoss {
  const { wholeResponses } = ruleOf(SURROGATES, "policyLoss", settings.policyLoss);
  if (wholeResponses) {
    throw new RangeError(
      `${settings.policyLoss} is a loss of whole responses: use responsePolicyLoss`,
    );
  }
  const { losses, dLogProbs, clips } = responsePolicyLoss(
    [logProb],
    [oldLogProb],
    advantage,
    settings,
  );
  return { loss: losses[0]!, dLogProb: dLogProbs[0]!, clip: clips[0]! };
}

/**
 * Losses and derivatives of the tokens of one response, under any surrogate.
 *
 * A response-level surrogate gives each of the L tokens the value ℓ_i and a derivative of the
 * token's share, so that Σ_t ℓ_t = L ℓ_i: under the aggregation `"grpo"` the total is mean_i ℓ_i,
 * as those papers have it.
 *
 * @param logProbs ln π of each token under the policy being trained [L].
 * @param oldLogProbs ln π_old of each token under the policy that sampled it [L].
 * @param advantage A of the response.
 * @throws {RangeError} Where the lengths differ, or a number is not finite.
 */
export function responsePolicyLoss(
  logProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  advantage: number,
  settings: PolicyLossSettings,
): ResponseLoss {
  if (oldLogProbs.length !== logProbs.length) {
    throw new RangeError(
      `${logProbs.length} logProbs for ${oldLogProbs.length} oldLogProbs: pass one each`,
    );
  }
  checkNumbers(logProbs, "logProbs");
  checkNumbers(oldLogProbs, "oldLogProbs");
  checkNumber(advantage, "advantage");
  const { compute } = ruleOf(SURROGATES, "policyLoss", settings.policyLoss);
  return compute(logProbs, oldLogProbs, advantage, settings);
}
