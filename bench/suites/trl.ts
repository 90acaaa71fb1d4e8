/**
 * Whole RLVR steps of parity by this library and by TRL's GRPOTrainer, in turns from the same warm start, as `export` hands
 * it over.
 *
 * @module
 */

import { join } from "node:path";
import { exportRun } from "../../src/export/export.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Policy } from "../../src/model/policy.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { WarmStart } from "../../src/rl/warm_start.ts";
import { parity } from "../../src/tasks/parity.ts";
import { median } from "../harness/measure.ts";
import { table } from "../harness/table.ts";
import { OURS, pythonWithTorch } from "./peers.ts";

/** What steps of one engine took. */
export interface TrlFigure {
  /** Who did them. */
  readonly engine: string;
  /** Median milliseconds of a step, the first of each turn left out. */
  readonly stepMs: number;
  /** Steps measured. */
  readonly steps: number;
  /** Mean reward of the last step of a turn. */
  readonly reward: number;
}

const REWARD = new URL("../../tests/interop/parity_reward.py", import.meta.url);

/** Times the steps and prints the table; TRL is left out, by name, where Python has none. */
export async function trlSuite(
  gpu: Gpu,
  options: { turns: number; steps: number; warmStart: number },
): Promise<TrlFigure[]> {
  const task = parity();
  const { rl, warmStart, policy: size } = task.defaults;
  const settings = { ...rl, maxSteps: options.steps + 1 };
  // `deno task bench` may write nowhere else.
  const runs = join(Deno.cwd(), "runs");
  await Deno.mkdir(runs, { recursive: true });
  const dir = await Deno.makeTempDir({ dir: runs, prefix: "trl-" });
  const python = await pythonWithTrl();
  const samples = new Map<string, { ms: number[]; reward: number }>();
  const add = (engine: string, seconds: readonly number[], reward: number) => {
    const known = samples.get(engine)?.ms ?? [];
    samples.set(engine, { ms: [...known, ...seconds.slice(1).map((s) => 1000 * s)], reward });
  };
  try {
    const { vocabulary: { length: vocabSize }, padTokenId, eosTokenId } = task;
    const fresh = Policy.create(gpu, { ...size, vocabSize, padTokenId, eosTokenId });
    const warm = await WarmStart.create(fresh, task, { ...warmStart, steps: options.warmStart });
    for (let i = 0; i < options.warmStart; i++) await warm.next();
    warm.destroy();
    const model = join(dir, "model");
    await fresh.save(model);
    fresh.destroy();
    const resolved = resolveTrainOptions(settings, task.maxCompletionLength);
    const out = join(dir, "trl");
    const reward = await Deno.readTextFile(REWARD);
    const trainPrompts = rl.promptsPerStep * settings.maxSteps;
    await exportRun(out, "trl", { model, task, options: resolved, reward, trainPrompts });
    for (let turn = 0; turn < options.turns; turn++) {
      const policy = await Policy.load(gpu, model);
      const trainer = await Trainer.create(policy, task, settings);
      const steps = [];
      for (let i = 0; i <= options.steps; i++) steps.push((await trainer.next()).metrics);
      trainer.destroy();
      policy.destroy();
      add(OURS, steps.map((m) => m["timing_s/step"]!), steps.at(-1)!["reward/mean"]!);
      if (!python) continue;
      const log = await trlSteps(python, out, rl.promptsPerStep * rl.numGenerations);
      add(`TRL ${python.version}`, log.map((l) => l.step_time!), log.at(-1)!.reward!);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  const figures = [...samples].map(([engine, { ms, reward }]): TrlFigure => ({
    engine,
    stepMs: median(ms),
    steps: ms.length,
    reward,
  }));
  const skipped = python ? [] : [["TRL", "skipped: python3, or $PYTHON, has no trl"]];
  console.log(table(
    `A whole RLVR step of parity, ${rl.promptsPerStep} prompts x ${rl.numGenerations} responses (wall-clock milliseconds)`,
    ["engine", "step", "ours = 1", "steps", "reward of the last"],
    [
      ...figures.map((f) => [f.engine, f.stepMs, f.stepMs / figures[0]!.stepMs, f.steps, f.reward]),
      ...skipped,
    ],
  ));
  return figures;
}

/** What TRL logs of its steps. */
async function trlSteps(
  { program, device }: { program: string; device: string },
  dir: string,
  batch: number,
): Promise<Record<string, number>[]> {
  const cpu = ["--use_cpu", "true", "--bf16", "false", "--gradient_checkpointing", "false"];
  const { success, stderr } = await new Deno.Command(program, {
    args: [
      join(dir, "train.py"),
      ...(device === "CPU" ? cpu : []),
      ...["--per_device_train_batch_size", String(batch), "--save_strategy", "no"],
    ],
    env: { HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" },
  }).output();
  if (!success) throw new Error(`TRL: ${new TextDecoder().decode(stderr).slice(-2000)}`);
  const state = JSON.parse(await Deno.readTextFile(join(dir, "checkpoints/trainer_state.json")));
  return state.log_history.filter((line: Record<string, number>) => "step_time" in line);
}

async function pythonWithTrl() {
  const python = await pythonWithTorch();
  if (!python) return undefined;
  const code = "import importlib.metadata as m; print(m.version('trl'))";
  const { success, stdout } = await new Deno.Command(python.program, {
    args: ["-c", code],
    stderr: "null",
  }).output();
  return success ? { ...python, version: new TextDecoder().decode(stdout).trim() } : undefined;
}
