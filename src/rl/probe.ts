/**
 * The probe: what a policy's samples foretell about reinforcement learning, before any is done.
 *
 * @module
 */

import type { Policy } from "../model/policy.ts";
import { type EvaluationOptions, sampleTraining } from "./evaluation.ts";
import type { SampleSummary } from "./sample_summary.ts";
import type { Task } from "../task/task.ts";

/**
 * What to expect.
 *
 * - `"ready"`: enough samples are right, and enough are not.
 * - `"hard"`: hardly any are right, but there are prompts to learn from: it will be slow.
 * - `"hopeless"`: there is next to nothing to reinforce.
 * - `"easy"`: hardly anything is left to learn.
 */
export type ProbeVerdict = "ready" | "hard" | "hopeless" | "easy";

/** What {@linkcode probe} found. */
export interface ProbeReport {
  /** Figures of the samples. */
  readonly samples: SampleSummary;
  /** What to expect. */
  readonly verdict: ProbeVerdict;
  /** Why, and what to do: a sentence each, the verdict's first. */
  readonly advice: readonly string[];
  /**
   * Noise of the gradient estimate with a constant divisor per token (`"drGrpo"`, `"dapo"`) relative to that of ΔL at
   * α = 1, as the lengths predict it under the model of arXiv 2509.07558: √(arithmetic mean / harmonic mean).
   */
  readonly noiseRatio: number;
}

/** Shares of right samples between which reinforcement learning has something to work with. */
const RIGHT = { few: 0.1, many: 0.7 };
/** Share of prompts with differing rewards below which most of a step is idle. */
const FEW_MIXED = 0.2;
/** Entropy per token, nats, below which a policy hardly varies its answers. */
const LOW_ENTROPY = 0.1;
/** Ratio of long to short responses below which aggregation rules hardly differ. */
const NARROW_SPREAD = 2;

/**
 * Samples N completions for each of some problems of the train split and judges what they foretell.
 *
 * @param policy The policy, as it would be trained.
 * @param options How much to sample: by default 64 prompts with 16 samples each.
 * @throws {RangeError} If the policy's vocabulary or positions do not suffice.
 * @throws {Error} If the verifier fails on a completion; the message names it.
 */
export async function probe(
  policy: Policy,
  task: Task,
  options: EvaluationOptions = {},
): Promise<ProbeReport> {
  const { prompts = 64, numGenerations = 16 } = options;
  const samples = await sampleTraining(policy, task, { ...options, prompts, numGenerations });
  return judgeProbe(samples, options.maxCompletionLength ?? task.maxCompletionLength);
}

/**
 * Judges samples.
 *
 * @param samples What they are like.
 * @param maxCompletionLength The most tokens of a response.
 */
export function judgeProbe(samples: SampleSummary, maxCompletionLength: number): ProbeReport {
  const verdict = verdictOn(samples);
  const noiseRatio = Math.sqrt(samples.meanLength / samples.harmonicLength);
  return {
    samples,
    verdict,
    advice: [
      reasonFor(verdict, samples),
      ...remarks(samples, verdict, maxCompletionLength),
      lengths(samples, noiseRatio),
    ],
    noiseRatio,
  };
}

function verdictOn({ passAtK, mixed }: SampleSummary): ProbeVerdict {
  const right = passAtK[1]!;
  if (right > RIGHT.many) return "easy";
  if (right >= RIGHT.few) return "ready";
  return mixed >= FEW_MIXED ? "hard" : "hopeless";
}

function reasonFor(verdict: ProbeVerdict, samples: SampleSummary): string {
  const { passAtK, mixed, numGenerations } = samples;
  const right = `${percent(passAtK[1]!)} of the samples are right`;
  switch (verdict) {
    case "ready":
      return `${right}, between the 10 % and 70 % from which reinforcement learning usually works`;
    case "hard":
      return `${right}, which is few, but ${percent(mixed)} of the prompts have samples to tell ` +
        "apart: expect a slow start, and raise numGenerations";
    case "hopeless":
      return `${right}, and at ${
        percent(1 - mixed)
      } of the prompts all ${numGenerations} samples ` +
        "earn the same, which teaches nothing: warm-start longer, begin with easier prompts, " +
        "or give partial rewards";
    case "easy":
      return `${right}: not much is left to learn, make the task harder`;
  }
}

function remarks(
  { mixed, numGenerations, entropy, truncated }: SampleSummary,
  verdict: ProbeVerdict,
  maxCompletionLength: number,
): string[] {
  const list: string[] = [];
  if (verdict === "ready" && mixed < FEW_MIXED) {
    list.push(
      `At only ${percent(mixed)} of the prompts do the ${numGenerations} samples earn different ` +
        "rewards: raise numGenerations or the temperature, or turn on dynamicSampling",
    );
  }
  if (truncated > 0.5) {
    list.push(
      `${percent(truncated)} of the samples are cut off at maxCompletionLength = ` +
        `${maxCompletionLength}: raise it, or warm-start on shorter demonstrations`,
    );
  }
  if (entropy < LOW_ENTROPY) {
    list.push(
      `The entropy is ${entropy.toFixed(3)} nats per token, so that samples hardly vary: a ` +
        "shorter warm start leaves more to choose from",
    );
  }
  return list;
}

function lengths({ lengthP5, lengthP95 }: SampleSummary, noiseRatio: number): string {
  const spread = `Nine in ten responses have ${lengthP5} to ${lengthP95} tokens`;
  const ratio = `${noiseRatio.toFixed(2)} times the noise of deltaL`;
  return lengthP95 < NARROW_SPREAD * lengthP5
    ? `${spread}: with lengths so alike the aggregation rules hardly differ (drGrpo and dapo have ${ratio})`
    : `${spread}: by their lengths drGrpo and dapo have ${ratio}`;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
