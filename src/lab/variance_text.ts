/**
 * A variance study as Markdown and JSON.
 *
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import type { RuleNoise } from "./aggregation_noise.ts";
import { deltaLId } from "./aggregation_rules.ts";
import type { Provenance } from "./provenance.ts";
import type { Interval } from "./statistics.ts";
import { markdownTable, type TextTable } from "./text_table.ts";
import type { VarianceStudy } from "./variance_study.ts";

/** A study with what made it. */
export interface VarianceReport {
  /** The task. */
  readonly task: string;
  /** Where the policy came from. */
  readonly checkpoint: string;
  /** Seed of prompts, sampling, halves and batches. */
  readonly seed: number;
  /** What was found. */
  readonly study: VarianceStudy;
  /** What it ran on. */
  readonly provenance: Provenance;
}

/** α of the rows of the table. */
const TABLE_ALPHAS = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5];

/** The rules of the table, ΔL at {@linkcode TABLE_ALPHAS}. */
export function tableRules(study: VarianceStudy): RuleNoise[] {
  const shown = new Set(TABLE_ALPHAS.map(deltaLId));
  return study.noise.rules.filter(({ id }) => !id.startsWith("delta-l-") || shown.has(id));
}

/** `0.744 [0.70, 0.79]`. */
export function withEnds({ mean, low, high }: Interval, digits = 3): string {
  const text = (value: number) => significant(value, digits);
  return `${text(mean)} [${text(low)}, ${text(high)}]`;
}

/** A number with some significant digits, very small and very large ones as powers of ten. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 1);
  return size >= 10 ** digits
    ? String(Number(value.toPrecision(digits)))
    : value.toPrecision(digits);
}

/** The study as Markdown. */
export function varianceMarkdown({ task, checkpoint, study }: VarianceReport): string {
  const { responses, profile, noise } = study;
  return [
    `### Gradient noise on ${task}`,
    "",
    `${responses.count} responses (${responses.prompts} prompts × ${responses.numGenerations}) ` +
    `of ${checkpoint}: reward ${responses.meanReward.toFixed(3)}, length ` +
    `${responses.meanLength.toFixed(1)} ± ${responses.stdLength.toFixed(1)} ` +
    `(${responses.minLength} … ${responses.maxLength}, harmonic mean ` +
    `${responses.harmonicLength.toFixed(1)}), ${(100 * responses.withSignal).toFixed(0)} % ` +
    "with an advantage. In brackets: 95 % intervals over random halves of the prompts.",
    "",
    ...(profile.signal.low > 0 ? [] : [
      "**The mean gradient cannot be told from noise with so few prompts**, so whatever is measured " +
      "against it below says little: give more prompts, or a policy that has more to learn.",
      "",
    ]),
    `|∇J|² = ${withEnds(profile.signal)}. Var(g | L) = V L: V = ${withEnds(profile.slope)}, R² ` +
    `= ${withEnds(profile.rSquared, 2)}; Var ∝ L^p with p = ${withEnds(profile.exponent, 2)}.`,
    "",
    ...markdownTable({
      about: "By length:",
      head: ["length", "responses", "Var(g)", "Var(g) / L", "E[g | L] · ∇J / |∇J|²"],
      rows: profile.bins.map((bin) => [
        bin.from === bin.to ? String(bin.from) : `${bin.from} … ${bin.to}`,
        String(bin.count),
        withEnds(bin.variance),
        significant(bin.variance.mean / bin.meanLength),
        withEnds(bin.projection, 2),
      ]),
    }),
    ...markdownTable(rulesTable(study)),
    `The measured CV of ΔL is least at α = ${withEnds(noise.bestAlpha, 2)}.`,
    "",
    ...markdownTable(parametersTable(study)),
  ].join("\n");
}

/** What each rule does. */
export function rulesTable(study: VarianceStudy): TextTable {
  const known = (value: number | null) => value === null ? "–" : significant(value);
  return {
    about:
      `Batches of ${study.batchPrompts} prompts × ${study.responses.numGenerations} responses, ` +
      `M = ${study.lossScaleFactor}. Closed forms: the paper's model, with the measured V and |∇J|. If independent: the ` +
      "same with the measured variance of each response; what the variance has beyond it comes from " +
      "responses to one prompt, which share a baseline and an answer.",
    head: [
      "rule",
      "bias factor",
      "closed form",
      "its spread",
      "measured / closed",
      "variance",
      "if independent",
      "closed form",
      "CV",
      "closed form",
      "CV / CV of ΔL α = 1",
      "noise / signal",
      "cos(E ĝ, ∇J)",
    ],
    rows: tableRules(study).map((rule) => [
      rule.title,
      withEnds(rule.bias),
      significant(rule.biasClosed),
      `${(100 * rule.biasSpread).toFixed(1)} %`,
      withEnds(rule.biasRatio),
      withEnds(rule.variance),
      significant(rule.varianceIndependent),
      known(rule.varianceClosed),
      withEnds(rule.cv),
      known(rule.cvClosed),
      withEnds(rule.cvRatio),
      withEnds(rule.noiseToSignal),
      withEnds(rule.cosine),
    ]),
  };
}

/** How the variance of each parameter's gradient depends on the length. */
export function parametersTable({ parameters }: VarianceStudy): TextTable {
  return {
    about: "Each parameter by itself:",
    head: ["parameter", "share of Σ|g|²", "V", "R²", "p of Var ∝ L^p"],
    rows: parameters.map((parameter) => [
      parameter.name,
      `${(100 * parameter.share).toFixed(1)} %`,
      withEnds(parameter.slope),
      withEnds(parameter.rSquared, 2),
      withEnds(parameter.exponent, 2),
    ]),
  };
}

/** Writes `variance.json` and `variance.md`; infinite and unknown values are `null` in JSON. */
export async function writeVariance(dir: string, report: VarianceReport): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  const json = JSON.stringify({ kind: "variance", ...report }, null, 1);
  await writeFileAtomic(join(dir, "variance.json"), json + "\n");
  await writeFileAtomic(join(dir, "variance.md"), varianceMarkdown(report));
}
