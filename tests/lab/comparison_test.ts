import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  armById,
  ARMS,
  type Cell,
  REFERENCE_ARM,
  type RunSpec,
  runSpecs,
  shardOf,
} from "../../src/lab/comparison_plan.ts";
import {
  loadRun,
  runComparison,
  type RunRecord,
  saveRun,
  settingsDigest,
} from "../../src/lab/comparison_run.ts";
import { COMPARISON_PRESETS } from "../../src/lab/comparison_presets.ts";
import { comparisonTables } from "../../src/lab/comparison_table.ts";
import { comparisonOverview } from "../../src/lab/comparison_overview.ts";
import { comparisonMarkdown } from "../../src/lab/comparison_text.ts";
import { provenance } from "../../src/lab/provenance.ts";
import { Policy } from "../../src/model/policy.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { parity } from "../../src/tasks/mod.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";

const CELL: Cell = {
  task: "parity",
  policy: { hiddenSize: 16, numHiddenLayers: 1 },
  warmStart: { steps: 1 },
  maxCompletionLength: 6,
  promptsPerStep: 2,
  numGenerations: 4,
  maxSteps: 3,
  learningRate: 1e-3,
  targetReward: 0.5,
  evalPrompts: 4,
};

const BLOCK = { cell: CELL, arms: ["delta-l-1", "grpo"], seeds: 2, learningRates: [1, 2] };

Deno.test("a comparison's runs: seed by seed, the warm start among them, each once", () => {
  const specs = runSpecs([BLOCK, { ...BLOCK, learningRates: [1] }]);
  assertEquals(
    specs.map(({ id }) => id),
    [1, 2].flatMap((seed) => [
      `parity-16x1-6-warm-start-seed${seed}`,
      `parity-16x1-6-delta-l-1-lr0.0010-seed${seed}`,
      `parity-16x1-6-grpo-lr0.0010-seed${seed}`,
      `parity-16x1-6-delta-l-1-lr0.0020-seed${seed}`,
      `parity-16x1-6-grpo-lr0.0020-seed${seed}`,
    ]),
  );
});

Deno.test("shards have nothing in common and are together the whole", () => {
  const specs = runSpecs([BLOCK]);
  const shards = [1, 2, 3].map((index) => shardOf(specs, index, 3));
  assertEquals(shards.flat().map(({ id }) => id).sort(), specs.map(({ id }) => id).sort());
  assert(shards.every((shard) => shard.length === 3 || shard.length === 4));
});

Deno.test("every preset has the reference in every block, five seeds where it counts, and ids that differ", () => {
  for (const blocks of Object.values(COMPARISON_PRESETS)) {
    const specs = runSpecs(blocks);
    assertEquals(new Set(specs.map(({ id }) => id)).size, specs.length);
    for (const { arms } of blocks) {
      assert(arms.includes(REFERENCE_ARM));
      for (const arm of arms) armById(arm);
    }
  }
  for (const preset of ["default", "full"] as const) {
    const [main] = COMPARISON_PRESETS[preset];
    assertEquals([...main!.arms].sort(), ARMS.map(({ id }) => id).sort());
    assert(main!.seeds >= 5);
    const cells = COMPARISON_PRESETS[preset].map(({ cell }) => cell);
    for (const what of ["task", "maxCompletionLength"] as const) {
      assert(new Set(cells.map((cell) => cell[what])).size >= 2, `${preset} has one ${what} only`);
    }
    assert(new Set(cells.map(({ policy }) => JSON.stringify(policy))).size >= 2);
  }
  assertThrows(() => armById("ppo"), RangeError, "arm must be one of delta-l-1");
});

/** A finished run made up from its final accuracy. */
function record(spec: RunSpec, accuracy: number, more: Partial<RunRecord> = {}): RunRecord {
  return {
    spec,
    settings: settingsDigest(spec),
    warmStart: "w",
    options: spec.arm ? { maxGradNorm: 1 } : null,
    metrics: {
      "reward/mean": [0.1, 0.4, 0.4, 0.6, 0.6, 0.6, 0.6, accuracy],
      "actor/grad_norm": [0.5, 2, 3, null],
    },
    evaluation: {
      meanAtN: accuracy,
      passAtN: 0.9,
      meanLength: 5,
      truncated: 0.25,
    } as RunRecord["evaluation"],
    samples: { first: [], last: [] },
    seconds: 1,
    provenance: { adapter: { description: "here" } } as RunRecord["provenance"],
    ...more,
  };
}

Deno.test("the table: intervals over seeds, differences seed by seed, nothing left out", () => {
  const specs = runSpecs([{ ...BLOCK, seeds: 3, learningRates: [1] }]);
  const accuracies: Record<string, number[]> = {
    "delta-l-1": [0.5, 0.6, 0.7],
    "grpo": [0.52, 0.61, 0.76],
  };
  const runs = specs.map((spec) =>
    record(spec, spec.arm ? accuracies[spec.arm.id]![spec.seed - 1]! : 0.3, {
      ...(spec.arm?.id === "grpo" && spec.seed === 3 ? { failure: "diverged" } : {}),
    })
  );
  const [table, ...others] = comparisonTables(runs);
  assertEquals(others, []);
  assertEquals(table!.rows.map(({ arm }) => arm), ["warm-start", "delta-l-1", "grpo"]);
  const [start, deltaL, grpo] = table!.rows;
  assertAlmostEquals(start!.measures.accuracy!.mean, 0.3, 1e-12);
  assertAlmostEquals(deltaL!.measures.accuracy!.mean, 0.6, 1e-12);
  assertAlmostEquals(deltaL!.measures.accuracy!.high, 0.6 + 4.30265 * 0.1 / Math.sqrt(3), 1e-5);
  assertEquals(deltaL!.differences, {});
  // 0.02, 0.01, 0.06: mean 0.03, standard deviation 0.0264575.
  const { mean, low, n } = grpo!.differences.accuracy!;
  assertAlmostEquals(mean, 0.03, 1e-12);
  assertAlmostEquals(low, 0.03 - 4.30265 * 0.0264575 / Math.sqrt(3), 1e-5);
  assertEquals(n, 3);
  assertEquals({ failures: grpo!.failures, seeds: grpo!.seeds }, { failures: 1, seeds: [1, 2, 3] });
  // Five steps of mean 0.5 or more: 0.4, 0.4, 0.6, 0.6, 0.6 end at step 6.
  assertEquals(deltaL!.measures.stepsToTarget!.mean, 6);
  assertEquals(deltaL!.reached, 3);
  assertAlmostEquals(deltaL!.measures.clipped!.mean, 2 / 3, 1e-12);
  assertEquals(table!.sameWarmStart, true);
  const text = comparisonMarkdown([table!]);
  for (const part of ["| GRPO | 3 (1 stopped early) |", "+0.030 [−0.036, +0.096]", "6.0 (3/3)"]) {
    assert(text.includes(part), `${part} in\n${text}`);
  }
});

Deno.test("a run of fewer steps than are looked at together reaches its target with all of them", () => {
  const [spec] = runSpecs([{ ...BLOCK, arms: ["delta-l-1"], seeds: 1, learningRates: [1] }])
    .filter(({ arm }) => arm);
  const reached = (...rewards: number[]) => {
    const [table] = comparisonTables([record(spec!, 0.5, { metrics: { "reward/mean": rewards } })]);
    return table!.rows.find(({ arm }) => arm === "delta-l-1")!.measures.stepsToTarget!.mean;
  };
  assertEquals(reached(0.4, 0.7), 2);
  assertEquals(reached(0.4, 0.5), Infinity);
  assertEquals(reached(), Infinity);
});

Deno.test("the overview: every cell at its own rate, and which differences are clear", () => {
  const specs = [
    ...runSpecs([{ ...BLOCK, seeds: 3, learningRates: [1, 2] }]),
    ...runSpecs([{
      ...BLOCK,
      cell: { ...CELL, maxCompletionLength: 3 },
      seeds: 3,
      learningRates: [1],
    }]),
  ];
  const [worse, same] = [[0.4, 0.51, 0.59], [0.52, 0.58, 0.7]];
  const runs = specs.map((spec) => {
    const like = spec.cell.maxCompletionLength === 3 ? same : worse;
    const own = [0.5, 0.6, 0.7][spec.seed - 1]!;
    return record(spec, spec.arm?.id === "grpo" ? like[spec.seed - 1]! : own);
  });
  const [results, accuracy, reward, ...others] = comparisonOverview(comparisonTables(runs));
  assertEquals(others, []);
  assertEquals(results!.head.length, 3, "the other learning rate is no column");
  assertEquals(results!.rows.map(([method]) => method), ["warm start", "ΔL α = 1", "GRPO"]);
  assertEquals(accuracy!.rows.length, 1);
  // −0.1, −0.09, −0.11 and 0.02, −0.02, 0.
  const [, first, second] = accuracy!.rows[0]!;
  assertEquals(first, { text: "−0.100 [−0.125, −0.075]", clear: true });
  assertEquals(second, { text: "+0.000 [−0.050, +0.050]", clear: false });
  assert(accuracy!.about.includes("as 1 of 2 do"), accuracy!.about);
  // One of eight steps has the accuracy for its reward.
  assertEquals(reward!.rows[0]![1], { text: "−0.012 [−0.016, −0.009]", clear: true });
  const text = comparisonMarkdown(comparisonTables(runs));
  assert(text.includes("| GRPO | **−0.100 [−0.125, −0.075]** | +0.000 [−0.050, +0.050] |"), text);
});

Deno.test("the overview of one seed has no intervals, and says so", () => {
  const runs = runSpecs([{ ...BLOCK, seeds: 1, learningRates: [1] }])
    .map((spec) => record(spec, spec.arm?.id === "grpo" ? 0.4 : 0.5));
  const [, accuracy] = comparisonOverview(comparisonTables(runs));
  assertEquals(accuracy!.rows[0]![1], { text: "−0.100", clear: false });
  assert(accuracy!.about.endsWith("one seed has no interval:"), accuracy!.about);
});

Deno.test("runs from different weights, or that never reach the target, are said to be so", () => {
  const specs = runSpecs([{ ...BLOCK, seeds: 1, learningRates: [1] }]);
  const runs = specs.map((spec, k) =>
    record({ ...spec, cell: { ...CELL, targetReward: 0.99 } }, 0.5, { warmStart: `w${k}` })
  );
  const [table] = comparisonTables(runs);
  assertEquals(table!.sameWarmStart, false);
  assertEquals(table!.rows.at(-1)!.reached, 0);
  const text = comparisonMarkdown([table!]);
  assert(text.includes("did not begin from the same weights"));
  assert(text.includes("never (0/1)"));
});

test.onGpu("a run leaves one file, is the same when made again, and is told from other settings", async (gpu) => {
  const task = parity({ minBits: 2, maxBits: 3 });
  await inTempDir(async (dir) => {
    const made = await provenance(gpu);
    const specs = runSpecs([{ ...BLOCK, arms: ["grpo", "delta-l-1-scaled"], seeds: 1 }]);
    const run = async (spec: RunSpec) => {
      const policy = Policy.create(gpu, {
        vocabSize: task.vocabulary.length,
        hiddenSize: 16,
        numHiddenLayers: 1,
        numAttentionHeads: 2,
        numKeyValueHeads: 1,
        intermediateSize: 24,
        eosTokenId: task.eosTokenId,
      }, { seed: 1 });
      try {
        return await runComparison(spec, { task, policy, warmStart: "w", provenance: made });
      } finally {
        policy.destroy();
      }
    };
    const [start, grpo, scaled] = specs;
    assertEquals(await loadRun(dir, grpo!), undefined);
    const first = (await run(grpo!))!;
    await saveRun(dir, first);
    assertEquals(await loadRun(dir, grpo!), JSON.parse(JSON.stringify(first)));
    const again = (await run(grpo!))!;
    assertEquals(again.metrics["actor/grad_norm"], first.metrics["actor/grad_norm"]);
    assertEquals(again.evaluation, first.evaluation);
    assertEquals(first.metrics["reward/mean"]!.length, 3);
    assertEquals(first.options!.lossScaleFactor, 6);
    assertEquals((await run(start!))!.options, null);

    // M is what makes the weights of the first steps add up to GRPO's.
    const { options } = (await run(scaled!))!;
    const M = options!.lossScaleFactor as number;
    assert(M >= 1 && M <= 6 && M !== Math.round(M), `M = ${M}`);
    const lengths = [1, 2, 6];
    const sum = (weights: Float64Array) => weights.reduce((a, b) => a + b);
    const harmonic = 3 / (1 + 1 / 2 + 1 / 6);
    assertAlmostEquals(
      sum(lossWeights(lengths, { lossAggregation: "deltaL", lossScaleFactor: harmonic })),
      sum(lossWeights(lengths, { lossAggregation: "grpo" })),
      1e-12,
    );

    const changed = { ...grpo!, cell: { ...CELL, maxSteps: 4 } };
    await assertRejects(() => loadRun(dir, changed), RangeError, "give another folder");
    const names = [...Deno.readDirSync(join(dir, "runs"))].map(({ name }) => name);
    assertEquals(names, [`${grpo!.id}.json`]);
  });
});

test.onGpu("a run that is abandoned or breaks leaves nothing, one that diverges is kept and says so", async (gpu) => {
  const task = parity({ minBits: 2, maxBits: 3 });
  const [, spec] = runSpecs([{ ...BLOCK, arms: ["grpo"], seeds: 1 }]);
  const made = await provenance(gpu);
  const policy = Policy.create(gpu, {
    vocabSize: task.vocabulary.length,
    hiddenSize: 16,
    numHiddenLayers: 1,
    numAttentionHeads: 2,
    intermediateSize: 24,
    eosTokenId: task.eosTokenId,
  }, { seed: 1 });
  const context = { task, policy, warmStart: "w", provenance: made };
  const stop = () => Promise.resolve(true);
  assertEquals(await runComparison(spec!, { ...context, afterStep: stop }), undefined);
  const broken = {
    ...task,
    verify: () => {
      throw new Error("no judge today");
    },
  };
  await assertRejects(
    () => runComparison(spec!, { ...context, task: broken }),
    Error,
    "no judge today",
  );
  const name = "model.norm.weight";
  policy.parameters.write(name, new Float32Array(policy.parameters.range(name).length).fill(NaN));
  const diverged = (await runComparison(spec!, context))!;
  assert(/not finite/.test(diverged.failure ?? ""), diverged.failure);
  assertEquals(diverged.metrics, {});
  assert(Number.isFinite(diverged.evaluation.meanAtN));
  policy.destroy();
});
