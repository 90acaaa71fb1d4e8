/**
 * From the settings that were chosen to all of them: defaults, checks, and what has no effect.
 *
 * @module
 */

import { ADVANTAGES, rewardScale } from "../objective/advantage.ts";
import { AGGREGATIONS } from "../objective/aggregation.ts";
import { recordable } from "../objective/own_objective.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { SURROGATES } from "../objective/surrogate.ts";
import { presetOptions } from "./presets.ts";
import type { Setting } from "./setting_kinds.ts";
import { checkSetting, SETTINGS } from "./settings.ts";
import type {
  ObjectiveOptions,
  ResolvedObjective,
  ResolvedTrainOptions,
  TrainOptions,
} from "./train_options.ts";

/** The settings of an objective; numGenerations is the batch's. */
const OBJECTIVE = Object.keys(
  {
    advantageEstimator: 1,
    scaleRewards: 1,
    policyLoss: 1,
    epsilon: 1,
    epsilonHigh: 1,
    dualClip: 1,
    sapoTemperaturePos: 1,
    sapoTemperatureNeg: 1,
    lossAggregation: 1,
    lossAlpha: 1,
    lossScaleFactor: 1,
    lossScope: 1,
    lossMicroBatchSize: 1,
    lossLambda: 1,
    lossLambdaSpread: 1,
    beta: 1,
    klEstimator: 1,
    entropyCoef: 1,
    temperature: 1,
    objective: 1,
  } satisfies Record<keyof ResolvedObjective, 1>,
) as (keyof ResolvedObjective)[];

/**
 * Fills in the defaults of an objective and checks every value.
 *
 * @param options What the caller chose.
 * @param maxCompletionLength The default of `lossScaleFactor`.
 * @param beside Settings of training that may be among them, for somebody else.
 * @throws {RangeError} For a value out of range, or one that has no effect with the others.
 * @throws {TypeError} For a setting that does not exist, or is one of training alone.
 */
export function resolveObjective(
  options: ObjectiveOptions,
  maxCompletionLength: number,
  beside: readonly string[] = [],
): ResolvedObjective {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    checkSetting(name, value);
    if (!([...OBJECTIVE, ...beside] as string[]).includes(name)) {
      throw new TypeError(
        `${name} is a setting of training, not of one objective: here there are ${
          [...OBJECTIVE, ...beside].join(", ")
        }`,
      );
    }
  }
  const chosen = pick(options, OBJECTIVE);
  const all = { maxSteps: 0, learningRate: 0, ...chosen };
  return pick(resolveTrainOptions(all, maxCompletionLength), OBJECTIVE);
}

/**
 * Fills in defaults and checks every value. What has no effect with the others gets its neutral value, so that resolving
 * again changes nothing.
 *
 * @param options What the caller chose.
 * @param taskMaxCompletionLength Length limit of the task.
 * @param given Names of those that were asked for one by one, which are refused where they have no effect, whatever their
 * value. Default: all of `options`, where a value that is neutral or the default says nothing and is let pass.
 * @throws {RangeError} For a value out of range, settings that do not go together or have no effect with the others; the
 * message names the setting, its value and what is allowed.
 * @throws {TypeError} For a setting that does not exist.
 */
export function resolveTrainOptions(
  options: TrainOptions,
  taskMaxCompletionLength: number,
  given?: readonly string[],
): ResolvedTrainOptions {
  const chosen = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as TrainOptions;
  for (const [name, value] of Object.entries(chosen)) checkSetting(name, value);
  const maxCompletionLength = chosen.maxCompletionLength ?? taskMaxCompletionLength;
  checkSetting("maxCompletionLength", maxCompletionLength);
  const defaults = {
    ...plainDefaults(),
    maxCompletionLength,
    lossScaleFactor: maxCompletionLength,
    klEstimator: chosen.klInReward ? "k1" : "k3",
  };
  const merged = {
    ...defaults,
    ...presetOptions(chosen.preset, maxCompletionLength),
    ...chosen,
  } as unknown as ResolvedTrainOptions;
  checkSetting("maxSteps", merged.maxSteps);
  checkSetting("learningRate", merged.learningRate);
  // Of the options alone: a rule's own bounds are checked with those it reads.
  const resolved: ResolvedTrainOptions = {
    ...merged,
    scaleRewards: rewardScale(merged.advantageEstimator, merged.scaleRewards),
    ...surrogateSettings(merged),
    ...(merged.objective ? { objective: recordable(merged.objective) } : {}),
  };
  const neutral: Record<string, unknown> = {
    ...defaults,
    ...surrogateSettings({ policyLoss: resolved.policyLoss }),
  };
  for (const name of Object.keys(SETTINGS)) {
    const reason = withoutEffect(name as keyof TrainOptions, resolved);
    if (reason === undefined) continue;
    const value = chosen[name as keyof TrainOptions];
    const silent = value === undefined || value === neutral[name] ||
      value === (defaults as Record<string, unknown>)[name];
    if (given ? given.includes(name) : !silent) {
      throw new RangeError(`${name} has no effect with ${reason}`);
    }
    (resolved as unknown as Record<string, unknown>)[name] = neutral[name];
  }
  checkTogether(resolved);
  return resolved;
}

/** Families of rules that differ in the settings they read. */
const FAMILIES = { lossAggregation: AGGREGATIONS, policyLoss: SURROGATES } as const;

/** Why a setting has no effect with the others, and what to do; `undefined` where it has one. */
function withoutEffect(
  name: keyof TrainOptions,
  options: ResolvedTrainOptions,
): string | undefined {
  const { objective } = options;
  const replaced = objective?.weights && name === "lossAggregation" ||
    objective?.surrogate && (name === "policyLoss" || isSurrogateNumber(name)) ||
    objective?.advantages && (name === "advantageEstimator" || name === "scaleRewards");
  if (replaced) return `objective ${objective!.name}, which takes its place: leave one out`;
  for (const [family, rules] of Object.entries(FAMILIES)) {
    if (family === "lossAggregation" && objective?.weights) {
      const read = Object.values(AGGREGATIONS).some(({ needs }) =>
        (needs as readonly string[] | undefined)?.includes(name)
      );
      if (read && name !== "lossScaleFactor") {
        return `objective ${objective.name}, which has weights of its own: leave it out`;
      }
      continue;
    }
    const readers = Object.entries<{ needs?: readonly string[]; defaults?: object }>(rules)
      .filter(([, { needs, defaults }]) => needs?.includes(name) || name in (defaults ?? {}))
      .map(([rule]) => rule);
    const rule = options[family as keyof typeof FAMILIES];
    if (readers.length > 0 && !readers.includes(rule)) {
      return `${family} ${rule}: leave it out, or choose ${readers.join(", ")}`;
    }
  }
  const { needs }: Setting = SETTINGS[name];
  if (needs && !needs[1](options)) return `the other settings: it needs ${needs[0]}`;
  return undefined;
}

/** Checks what one setting demands of another. */
function checkTogether(options: ResolvedTrainOptions): void {
  const { miniBatchSize, numGenerations, promptsPerStep, beta, maxCompletionLength } = options;
  if (
    miniBatchSize !== "all" &&
    (!Number.isInteger(miniBatchSize) || miniBatchSize < 1 || miniBatchSize % numGenerations !== 0)
  ) {
    throw new RangeError(
      `miniBatchSize must be "all" or a multiple of numGenerations = ${numGenerations}: current value is ${miniBatchSize}`,
    );
  }
  if (miniBatchSize !== "all" && miniBatchSize > promptsPerStep * numGenerations) {
    throw new RangeError(
      "miniBatchSize must not exceed promptsPerStep * numGenerations = " +
        `${promptsPerStep * numGenerations}: current value is ${miniBatchSize}`,
    );
  }
  if (beta === 0 && (options.klInReward || options.refSyncSteps > 0)) {
    throw new RangeError(
      `${options.klInReward ? "klInReward" : "refSyncSteps"} needs a reference policy, and beta ` +
        "is 0: give beta > 0, 0.001 to 0.1 are usual",
    );
  }
  const { advantageEstimator, softOverlongBuffer } = options;
  const { compares, leastReward } = ADVANTAGES[advantageEstimator];
  if (numGenerations === 1 && compares && !options.objective?.advantages) {
    const others = Object.entries(ADVANTAGES).filter(([, rule]) => !rule.compares)
      .map(([name]) => name);
    throw new RangeError(
      `numGenerations is 1: advantageEstimator ${advantageEstimator} compares the responses to a prompt, give at ` +
        `least 2, or choose ${others.join(", ")}`,
    );
  }
  const lowers = options.klInReward && !options.klAfterNormalization
    ? "klInReward"
    : softOverlongBuffer > 0
    ? "softOverlongBuffer"
    : undefined;
  if (leastReward !== undefined && lowers !== undefined) {
    throw new RangeError(
      `${lowers} makes rewards negative, and advantageEstimator ${advantageEstimator} needs rewards >= ${leastReward}: ` +
        "leave it out, or choose another estimator",
    );
  }
  if (options.softOverlongBuffer >= maxCompletionLength) {
    throw new RangeError(
      `softOverlongBuffer must be less than maxCompletionLength = ${maxCompletionLength}: ` +
        `current value is ${options.softOverlongBuffer}`,
    );
  }
}

/** Whether a setting is a number of surrogates. */
function isSurrogateNumber(name: string): boolean {
  return Object.values(SURROGATES).some(({ defaults }) => name in defaults);
}

function pick<T extends object, K extends keyof T>(values: T, names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    names.filter((name) => values[name] !== undefined).map((name) => [name, values[name]]),
  ) as Pick<T, K>;
}

/** The defaults of those settings whose default no other setting decides. */
function plainDefaults(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries<Setting>(SETTINGS)
      .filter(([, setting]) => typeof setting.default !== "object")
      .map(([name, setting]) => [name, setting.default]),
  );
}
