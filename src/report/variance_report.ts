/**
 * The report of the estimator laboratory.
 *
 * @module
 */

import type { RuleNoise } from "../lab/aggregation_noise.ts";
import { deltaLId } from "../lab/aggregation_rules.ts";
import type { Interval } from "../lab/statistics.ts";
import {
  parametersTable,
  rulesTable,
  significant,
  tableRules,
  type VarianceReport,
  withEnds,
} from "../lab/variance_text.ts";
import { chart, type ChartSpec, COLOURS, dots } from "./chart.ts";
import { facts, type Figure, type Page, settings, tableUnder } from "./page.ts";

async function varianceFigures(report: VarianceReport): Promise<Figure[]> {
  const { profile, parameters, noise } = report.study;
  const drawn: Figure[] = [];
  const draw = async (name: string, spec: ChartSpec, caption: string) => {
    drawn.push({ name, svg: await chart(spec, caption), caption });
  };
  await draw(
    "variance_by_length",
    varianceByLength(report),
    `Variance of a response's gradient by length bin with 95 % intervals; the line is Var = V L, ` +
      `V = ${significant(profile.slope.mean)}, R² = ${profile.rSquared.mean.toFixed(2)}.`,
  );
  await draw(
    "noise_by_alpha",
    noiseByAlpha(report),
    "Coefficient of variation of the batch estimate: measured with 95 % interval, and the closed " +
      `form of the paper. The measured minimum is at α = ${noise.bestAlpha.mean}.`,
  );
  await draw(
    "mean_by_length",
    meanByLength(report),
    "Projection of a bin's mean gradient on the overall mean, 95 % intervals: at 1 everywhere, " +
      "ΔL would be unbiased.",
  );
  await draw(
    "noise_by_rule",
    dots(
      tableRules(report.study)
        .filter(({ id }) => !id.startsWith("delta-l-") || shownAlpha(id))
        .map((rule) => ({ label: rule.title, value: rule.cvRatio.mean, ...ends(rule.cvRatio) })),
      { title: "Noise relative to ΔL α = 1", x: "CV / CV of ΔL α = 1", reference: 1 },
    ),
    "On the same batches, 95 % intervals. Above 1 is noisier.",
  );
  await draw(
    "exponent_by_parameter",
    dots(
      parameters.filter(({ shape }) => shape.length > 1).map(({ name, exponent }) => ({
        label: name.replace(/^model\./, "").replace(/\.weight$/, ""),
        value: exponent.mean,
        ...ends(exponent),
      })),
      { title: "Var ∝ L^p by matrix", x: "p", reference: 1 },
    ),
    "Exponent by parameter matrix, 95 % intervals. The paper's assumption is p = 1.",
  );
  return drawn;
}

const shownAlpha = (id: string) => [0.5, 0.75, 1, 1.25].map(deltaLId).includes(id);

function ends({ low, high }: Interval): { low: number; high: number } {
  return { low, high };
}

function varianceByLength({ study: { profile } }: VarianceReport): ChartSpec {
  const longest = profile.bins.at(-1)!.meanLength;
  return {
    title: "Variance of a response's gradient",
    layer: [
      {
        data: { values: [{ x: 0, y: 0 }, { x: longest, y: profile.slope.mean * longest }] },
        mark: { type: "line", color: "#999", strokeDash: [5, 4] },
        encoding: {
          x: {
            field: "x",
            type: "quantitative",
            title: "response length, tokens",
            axis: { grid: false },
          },
          y: { field: "y", type: "quantitative", title: "Var(g | L)" },
        },
      },
      ...intervals(
        profile.bins.map((bin) => ({
          x: bin.meanLength,
          y: bin.variance.mean,
          ...ends(bin.variance),
        })),
      ),
    ],
  } as unknown as ChartSpec;
}

function meanByLength({ study: { profile } }: VarianceReport): ChartSpec {
  return {
    title: "Does the mean gradient depend on the length?",
    layer: [
      {
        data: { values: [{ y: 1 }] },
        mark: { type: "rule", color: "#999", strokeDash: [5, 4] },
        encoding: { y: { field: "y", type: "quantitative", title: "E[g | L] · ∇J / |∇J|²" } },
      },
      ...intervals(
        profile.bins.map((bin) => ({
          x: bin.meanLength,
          y: bin.projection.mean,
          ...ends(bin.projection),
        })),
        "response length, tokens",
      ),
    ],
  } as unknown as ChartSpec;
}

/** Points with upright intervals. */
function intervals(
  values: readonly { x: number; y: number; low: number; high: number }[],
  title?: string,
): unknown[] {
  const x = {
    field: "x",
    type: "quantitative",
    axis: { grid: false },
    ...(title ? { title } : {}),
  };
  return [
    {
      data: { values },
      mark: { type: "rule", color: COLOURS[0], strokeWidth: 2 },
      encoding: { x, y: { field: "low", type: "quantitative" }, y2: { field: "high" } },
    },
    {
      data: { values },
      mark: { type: "point", filled: true, size: 60, color: COLOURS[0], opacity: 1 },
      encoding: { x, y: { field: "y", type: "quantitative" } },
    },
  ];
}

function noiseByAlpha({ study: { noise } }: VarianceReport): ChartSpec {
  const deltaL = noise.rules.filter(({ id }) => id.startsWith("delta-l-"));
  const others = noise.rules.filter(({ id }) => !id.startsWith("delta-l-"));
  const points = (of: (rule: RuleNoise) => number | null, series: string) =>
    deltaL.flatMap((rule) => {
      const y = of(rule);
      return y !== null && Number.isFinite(y)
        ? [{ x: rule.alpha, y, ...ends(rule.cv), series }]
        : [];
    });
  const series = ["measured", "closed form", ...others.map(({ title }) => title)];
  const colour = {
    field: "series",
    type: "nominal",
    scale: { domain: series, range: ["#0072b2", "#999", ...COLOURS.slice(1)] },
  };
  const x = {
    field: "x",
    type: "quantitative",
    title: "α of ΔL",
    axis: { grid: false },
    scale: { nice: false },
  };
  const y = { field: "y", type: "quantitative", title: "CV", scale: { zero: false } };
  return {
    title: "Noise of the batch estimate",
    layer: [
      {
        data: { values: points((rule) => rule.cv.mean, "measured") },
        mark: { type: "area", color: "#0072b2" },
        encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
      },
      {
        data: {
          values: [
            ...points((rule) => rule.cv.mean, "measured"),
            ...points((rule) => rule.cvClosed, "closed form"),
          ],
        },
        mark: "line",
        encoding: { x, y, color: colour },
      },
      {
        data: {
          values: others.map((rule) => ({ x: rule.alpha, y: rule.cv.mean, series: rule.title })),
        },
        mark: { type: "point", filled: true, size: 80, opacity: 1 },
        encoding: { x, y, color: colour },
      },
    ],
  } as unknown as ChartSpec;
}

/** The page of a study. */
export async function variancePage(report: VarianceReport): Promise<Page> {
  const { study, task, checkpoint, seed, provenance } = report;
  const { responses, profile, noise } = study;
  const drawn = await varianceFigures(report);
  return {
    title: `Gradient noise on ${task}`,
    lead:
      `${responses.count} responses of ${checkpoint}, differentiated one by one. In brackets: ` +
      "95 % intervals over random halves of the prompts.",
    sections: [
      {
        title: "In short",
        body: facts([
          ["Var(g) = V L, R²", profile.rSquared.mean.toFixed(2), withEnds(profile.rSquared, 2)],
          ["Var ∝ L^p, p", profile.exponent.mean.toFixed(2), withEnds(profile.exponent, 2)],
          ["least CV at α", String(noise.bestAlpha.mean), withEnds(noise.bestAlpha, 2)],
          [
            "lengths",
            `${responses.minLength} … ${responses.maxLength}`,
            `mean ${responses.meanLength.toFixed(1)}, harmonic ` +
            `${responses.harmonicLength.toFixed(1)}`,
          ],
          ["mean reward", responses.meanReward.toFixed(3)],
        ]),
      },
      { title: "Figures", body: "", figures: drawn },
      { title: "By aggregation rule", body: tableUnder(rulesTable(study)) },
      { title: "By parameter", body: tableUnder(parametersTable(study)) },
      { title: "What it ran on", body: settings([["seed", seed], ...Object.entries(provenance)]) },
    ],
  };
}
