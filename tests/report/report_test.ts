import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import { ARMS, runSpecs } from "../../src/lab/comparison_plan.ts";
import { COMPARISON_PRESETS } from "../../src/lab/comparison_presets.ts";
import { type RunRecord, saveRun, settingsDigest } from "../../src/lab/comparison_run.ts";
import { comparisonTables } from "../../src/lab/comparison_table.ts";
import { writeComparison } from "../../src/lab/comparison_text.ts";
import type { Provenance } from "../../src/lab/provenance.ts";
import { type VarianceReport, writeVariance } from "../../src/lab/variance_text.ts";
import { chart, dots, escapeText, lines } from "../../src/report/chart.ts";
import { samplePairs } from "../../src/report/page.ts";
import { writeReport, writeRunsReport } from "../../src/report/report.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import { test } from "../helpers/test.ts";

const PROVENANCE: Provenance = {
  version: "0.1.0",
  commit: "0123456789abcdef0123456789abcdef01234567",
  deno: "2.9.6",
  platform: "linux x86_64",
  processors: 2,
  adapter: {
    description: "an <adapter>",
    vendor: "",
    isFallback: true,
    subgroupSize: 8,
    f16: true,
    int64: true,
    timestamps: true,
    matrixUnits: [],
  },
  at: "2026-01-01T00:00:00.000Z",
};

/** What a page may not contain if it is to be one file that fetches nothing. */
function assertSelfContained(html: string): void {
  assertEquals(html.match(/<(?:script|iframe|object|embed|img|audio|video|base)\b/gi), null);
  const links = [...html.matchAll(/\b(?:src|href|srcset|action)\s*=\s*"([^"]*)"/gi)].map((m) =>
    m[1]!
  );
  assertEquals(links.filter((link) => !link.startsWith("data:") && !link.startsWith("#")), []);
  assertEquals(html.match(/@import|url\(\s*["']?(?!#|data:)/gi), null);
}

Deno.test("charts are drawn as SVG that scales, and say what they show", async () => {
  const points = [0, 1, 2].flatMap((x) => [
    { x, y: x * x, low: x * x - 1, high: x * x + 1, series: "a" },
    { x, y: NaN, series: "b" },
  ]);
  const svg = await chart(lines(points, { title: "T <1>", x: "step", y: "value" }), 'a "label"');
  assertMatch(svg, /^<svg [^>]*viewBox="0 0 \d+ \d+"/);
  assertEquals(/^<svg[^>]* width=/.test(svg), false);
  assertStringIncludes(svg, 'role="img" aria-label="a &quot;label&quot;"');
  assertStringIncludes(svg, "T &lt;1&gt;");
  const ids = (text: string) => [...text.matchAll(/\bid="([^"]+)"/g)].map((match) => match[1]!);
  const other = await chart(lines(points.slice(0, 4), { title: "U", x: "x", y: "y" }), "other");
  assert(ids(svg).length > 0);
  assertEquals(ids(svg).filter((id) => ids(other).includes(id)), []);
  assertEquals([...svg.matchAll(/url\(#([^)]+)\)/g)].every((m) => ids(svg).includes(m[1]!)), true);
  // Two lines of which one has no value at all, and one band.
  assertEquals(svg.match(/mark-line/g)?.length, 1);
  assertEquals(svg.match(/mark-area/g)?.length, 1);
  const dotted = await chart(
    dots([{ label: "x", value: 1, low: 0, high: 2 }, { label: "y", value: 3, low: 1, high: 4 }], {
      title: "t",
      x: "difference",
      reference: 0,
    }),
    "dots",
  );
  for (const text of [">x<", ">y<", ">difference<"]) assertStringIncludes(dotted, text);
});

Deno.test("texts of prompts and completions cannot become markup", () => {
  assertEquals(escapeText(`<b a="1">'&`), "&lt;b a=&quot;1&quot;&gt;&#39;&amp;");
  const html = samplePairs(["first", "last"], [
    [{ prompt: "<script>", completion: "</code>", reward: 1, length: 3 }],
    [],
  ]);
  assertStringIncludes(html, "&lt;script&gt;");
  assertStringIncludes(html, "&lt;/code&gt;");
  assertStringIncludes(html, 'class="sample right"');
});

test.inDir("the report of a training run has its figures, curves, completions and settings", async (dir) => {
  const write = (name: string, text: string) => Deno.writeTextFile(join(dir, name), text);
  const json = (lines: unknown[]) => lines.map((line) => JSON.stringify(line) + "\n").join("");
  await write(
    "config.json",
    JSON.stringify({
      task: "parity",
      seed: 7,
      command: "deno task train --loss-alpha 0.75",
      source: {
        kind: "warmStart",
        recipe: { steps: 300, batchSize: 64, learningRate: 0.003, seed: 7 },
      },
      resumed: [{ step: 2, at: "2026-01-02", command: "deno task train --resume", changed: {} }],
      options: resolveTrainOptions({
        lossAlpha: 0.75,
        promptsPerStep: 4,
        numGenerations: 4,
        maxSteps: 3,
        learningRate: 1e-3,
      }, 17),
      policy: { hiddenSize: 64 },
      adapter: PROVENANCE.adapter,
      versions: { deltal: "0.1.0" },
    }),
  );
  await write(
    "metrics.jsonl",
    json([
      { "training/global_step": 0, "eval/parity/mean@8": 0.5, "eval/parity/pass@8": 0.9 },
      ...[1, 2, 3].map((step) => ({
        "training/global_step": step,
        "reward/mean": 0.5 + step / 10,
        "reward/std": 0.4,
        "response_length/mean": 6 + step,
        "response_length/std": 2,
        "actor/entropy": 1 / step,
        "actor/grad_norm": "NaN",
        "rewards/brief/mean": step / 8,
      })),
      {
        "training/global_step": 3,
        "eval/parity/mean@8": 0.8125,
        "eval/parity/mean@8_error": 0.02,
        "eval/parity/pass@1": 0.8125,
        "eval/parity/pass@8": 1,
      },
    ]),
  );
  await write(
    "completions.jsonl",
    // Four answers to each of two prompts, three of them the same, one the word for what is no number.
    json(
      [1, 3].flatMap((step) =>
        [0, 1].flatMap((prompt) =>
          ["a<b>", "a<b>", "a<b>", "NaN"].map((completion) => ({
            "training/global_step": step,
            prompt: `0110_${step}.${prompt}`,
            completion,
            reward: step === 3 ? 1 : 0,
            solved: false,
            advantage: 0,
            length: 5,
            truncated: false,
          }))
        )
      ),
    ),
  );
  const { path, bytes } = await writeReport(dir);
  const html = await Deno.readTextFile(path);
  assertEquals(bytes, new TextEncoder().encode(html).length);
  assertSelfContained(html);
  for (
    const text of ["parity: 3 steps of ΔL α = 0.75", "81.3 %", "before 50.0 %", "0110_1", "0110_3"]
  ) assertStringIncludes(html, text);
  for (const text of ["a&lt;b&gt;", "hiddenSize", "an &lt;adapter&gt;", "Training reward"]) {
    assertStringIncludes(html, text);
  }
  // What was run, with what was not given resolved, and how to run it again.
  for (
    const text of [
      "L^-0.75",
      "ℓ = max(-A ρ, -A clip(ρ, 0.8, 1.28)), at most 3 |A| where A &lt; 0",
      "<pre>deno task train --loss-alpha 0.75</pre>",
      "resumed after step 2, 2026-01-02</p><pre>deno task train --resume</pre>",
      "then a warm start: 300 steps of 64 demonstrations",
      "<td>epsilonHigh</td><td>0.28</td>",
      "<td>scaleRewards</td><td>group</td>",
      ">Reward functions<",
    ]
  ) assertStringIncludes(html, text);
  assert(!html.includes("recipe"), "the source is dumped");
  // Different prompts first, then their other answers; none twice.
  const shown = [...html.matchAll(/class="prompt">(.+?)<\/code><code>(.+?)<\/code>/g)]
    .map(([, prompt, completion]) => `${prompt} ${completion}`);
  assertEquals(shown.filter((text) => text.startsWith("0110_1")), [
    "0110_1.0 a&lt;b&gt;",
    "0110_1.1 a&lt;b&gt;",
    "0110_1.0 NaN",
    "0110_1.1 NaN",
  ]);
  // A gradient norm that was never finite gives no chart.
  assert(!html.includes("Gradient norm before clipping"));
});

test.inDir("the report of a comparison shows every method with its difference, and hides no run", async (dir) => {
  const block = { ...COMPARISON_PRESETS.smoke[0]!, seeds: 3 };
  const specs = runSpecs([block]);
  const records = specs.map((spec): RunRecord => {
    const arm = ARMS.findIndex(({ id }) => id === spec.arm?.id);
    const accuracy = 0.5 + arm / 100 + spec.seed / 1000 * (arm % 2);
    return {
      spec,
      settings: settingsDigest(spec),
      warmStart: "same",
      options: spec.arm ? { maxGradNorm: 1 } : null,
      metrics: spec.arm
        ? {
          "reward/mean": [0.4, 0.5, 0.5, 0.6, 0.6, 0.7, 0.7, accuracy],
          "actor/grad_norm": [0.5, 1.5, null, 0.5],
        }
        : {},
      evaluation: {
        meanAtN: accuracy,
        passAtN: 1,
        greedy: 0.5,
        meanLength: 6,
        stdLength: 2,
        truncated: 0,
        numGenerations: 8,
        prompts: 32,
      } as RunRecord["evaluation"],
      samples: {
        first: [{ prompt: "p", completion: "c", reward: 0, length: 1 }],
        last: [{ prompt: "q", completion: "d", reward: 1, length: 1 }],
      },
      ...(spec.arm?.id === "grpo" && spec.seed === 2 ? { failure: "diverged" } : {}),
      seconds: 1,
      provenance: PROVENANCE,
    };
  });
  for (const record of records) await saveRun(dir, record);
  const tables = comparisonTables(records);
  await writeComparison(dir, { title: "smoke", runs: records, tables });
  const { path } = await writeReport(dir);
  const html = await Deno.readTextFile(path);
  assertSelfContained(html);
  for (const { title } of ARMS) assertStringIncludes(html, escapeText(title));
  assertStringIncludes(html, `${records.length} runs. All methods`);
  assertStringIncludes(html, "lossAggregation deltaL, lossAlpha 0.5");
  const figures = [...Deno.readDirSync(join(dir, "figures"))].map(({ name }) => name).sort();
  assertEquals(figures.map((name) => name.replace(/^.*-/, "")), [
    "difference_accuracy.svg",
    "difference_lateReward.svg",
    "difference_meanReward.svg",
    "reward_mean.svg",
  ]);
  assertStringIncludes(html, "3 (1 stopped early)");
  assertStringIncludes(html, "012345");
  const markdown = await Deno.readTextFile(join(dir, "compare.md"));
  assertStringIncludes(markdown, "3 (1 stopped early)");
});

test.inDir("the report of a variance study survives what JSON cannot say", async (dir) => {
  const known = { mean: 1, low: 0.5, high: 1.5, n: 9 };
  const unknown = { mean: Infinity, low: 0.5, high: NaN, n: 9 };
  const rule = {
    bias: known,
    biasClosed: 0.1,
    biasSpread: 0,
    biasRatio: unknown,
    variance: known,
    varianceIndependent: 1,
    varianceClosed: null,
    cv: unknown,
    cvClosed: null,
    noiseToSignal: unknown,
    cvRatio: known,
    cosine: known,
  };
  const line = { slope: 1, rSquared: 0.9 };
  const profile = {
    line,
    slope: known,
    rSquared: known,
    exponent: known,
    signal: { ...known, low: -1 },
    bins: [2, 9].map((length) => ({
      from: length,
      to: length,
      meanLength: length,
      count: 5,
      variance: known,
      projection: unknown,
    })),
  };
  const report: VarianceReport = {
    task: "parity",
    checkpoint: "somewhere",
    seed: 1,
    provenance: PROVENANCE,
    study: {
      responses: {
        count: 10,
        prompts: 5,
        numGenerations: 2,
        withSignal: 1,
        meanReward: 0.5,
        meanLength: 5,
        stdLength: 1,
        harmonicLength: 4,
        minLength: 2,
        maxLength: 9,
        truncated: 0,
      },
      batchPrompts: 1,
      lossScaleFactor: 9,
      profile,
      parameters: [{
        name: "model.norm.weight",
        shape: [4, 4],
        ...profile,
        variances: [1, 2],
        share: 1,
      }],
      noise: {
        rules: [
          { id: "grpo", title: "GRPO", alpha: 1, ...rule },
          { id: "delta-l-1", title: "ΔL α = 1", alpha: 1, ...rule, cv: known },
        ],
        bestAlpha: known,
      },
    },
  };
  await writeVariance(dir, report);
  const markdown = await Deno.readTextFile(join(dir, "variance.md"));
  assertStringIncludes(markdown, "cannot be told from noise");
  assertStringIncludes(markdown, "∞ [0.500, –]");
  const { path } = await writeReport(dir);
  assertSelfContained(await Deno.readTextFile(path));
  const names = [...Deno.readDirSync(join(dir, "figures"))].map(({ name }) => name).sort();
  assertEquals(names.length, 5);
  for (const name of names) {
    assertStringIncludes(await Deno.readTextFile(join(dir, "figures", name)), "<svg ");
  }
});

test.inDir("several runs stand side by side, with what differs between them", async (dir) => {
  const options = { promptsPerStep: 4, numGenerations: 4, maxSteps: 3, learningRate: 1e-3 };
  for (const [name, lossAlpha, end] of [["one", 1, 0.75], ["half", 0.5, 0.5]] as const) {
    const run = join(dir, name);
    await Deno.mkdir(run);
    const config = {
      task: "parity",
      seed: 7,
      options: resolveTrainOptions({ ...options, lossAlpha }, 17),
    };
    await Deno.writeTextFile(join(run, "config.json"), JSON.stringify(config));
    const metrics = [0, 1, 2, 3].map((step) => ({
      "training/global_step": step,
      ...(step > 0 ? { "reward/mean": step * end / 3, "actor/entropy": 1 } : {}),
      ...(step % 3 === 0
        ? { "eval/parity/mean@8": step === 0 ? 0.25 : end, "eval/parity/mean@8_error": 0.01 }
        : {}),
    }));
    const text = metrics.map((line) => JSON.stringify(line) + "\n").join("");
    await Deno.writeTextFile(join(run, "metrics.jsonl"), text);
  }
  const { path } = await writeRunsReport([join(dir, "one"), join(dir, "half")], join(dir, "both"));
  const html = await Deno.readTextFile(path);
  assertSelfContained(html);
  for (
    const text of [
      "2 runs of parity",
      "<td>one</td><td>ΔL α = 1</td><td>7</td><td>3</td><td>0.750 ± 0.020 (0.250 ± 0.020)</td>",
      "<td>lossAlpha</td><td>1</td><td>0.5</td>",
      ">Training reward<",
      ">Held-out problems<",
    ]
  ) assertStringIncludes(html, text);
  // What they share is not listed, and what no run has is not drawn.
  for (const text of ["<td>learningRate</td>", ">Gradient norm"]) assert(!html.includes(text));
  await assertRejects(
    () => writeRunsReport([join(dir, "one"), join(dir, "both")], join(dir, "x")),
    Deno.errors.NotFound,
    "both is not the folder of a run",
  );
});

test.inDir("a folder without results is refused", async (dir) => {
  await assertRejects(() => writeReport(dir), Deno.errors.NotFound, "holds no results");
});
