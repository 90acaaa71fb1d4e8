/**
 * Runs of TRL and verl, as far as their metrics say what deltal's do.
 *
 * @module
 */

import { join } from "node:path";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { type MetricsRecord, STEP } from "../run/metrics_log.ts";
import type { RunConfig } from "../run/run_directory.ts";

/** A run of another engine. */
export interface EngineRun {
  /** What is known of its settings. */
  readonly config: RunConfig;
  /** Its lines, by deltal's names. */
  readonly metrics: readonly MetricsRecord[];
}

/** deltal's names of TRL's metrics. */
const TRL: Readonly<Record<string, string>> = {
  reward: "reward/mean",
  reward_std: "reward/std",
  "completions/mean_length": "response_length/mean",
  entropy: "actor/entropy",
  grad_norm: "actor/grad_norm",
  loss: "actor/pg_loss",
};

/** deltal's names of verl's metrics; what is missing is called the same. */
const VERL: Readonly<Record<string, string>> = { "critic/rewards/mean": "reward/mean" };

/**
 * Reads the run of another engine: of TRL a folder with a `trainer_state.json`, or with checkpoints that have one; of verl
 * one with the `.jsonl` of its logger `file`. A folder that `export` wrote also tells the task and the method.
 *
 * @returns `undefined` if there is none.
 * @throws {SyntaxError | TypeError} If its file is damaged.
 */
export async function readEngineRun(dir: string): Promise<EngineRun | undefined> {
  return await readTrl(dir) ?? await readVerl(dir);
}

async function readTrl(dir: string): Promise<EngineRun | undefined> {
  const states: { step: number; log: unknown[] }[] = [];
  for (const folder of await checkpointsBelow(dir)) {
    const path = join(folder, "trainer_state.json");
    if (!await fileExists(path)) continue;
    const { log_history: log, global_step: step } = await readJsonObject(path);
    if (Array.isArray(log)) states.push({ step: Number(step), log });
  }
  const last = states.sort((a, b) => a.step - b.step).at(-1);
  if (last === undefined) return undefined;
  const { task = "TRL", samples, ...method } = await handedOver(dir, "trl");
  const metrics = last.log.map((entry) => {
    const { step, ...logged } = entry as Record<string, number>;
    const named = Object.entries(logged).flatMap(([name, value]) => {
      if (name === "eval_reward") return [[`eval/${task}/mean@${samples ?? "N"}`, value]];
      return name.startsWith("rewards/") ? [[name, value]] : TRL[name] ? [[TRL[name], value]] : [];
    });
    return { ...Object.fromEntries(named), [STEP]: step } as MetricsRecord;
  });
  return { config: { task, options: { engine: "TRL", ...method } } as RunConfig, metrics };
}

/** A folder, its checkpoints, and those of `checkpoints/` in it. */
async function checkpointsBelow(dir: string): Promise<string[]> {
  const found = [dir];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (!isDirectory) continue;
    if (name === "checkpoints") found.push(...await checkpointsBelow(join(dir, name)));
    if (/^checkpoint-\d+$/.test(name)) found.push(join(dir, name));
  }
  return found;
}

async function readVerl(dir: string): Promise<EngineRun | undefined> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) =>
    name.endsWith(".jsonl")
  );
  for (const name of names.sort()) {
    const path = join(dir, name);
    const text = await Deno.readTextFile(path);
    if (!/^\{"step":\d+,"data":\{/.test(text)) continue;
    // The last line may not be written to its end.
    const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter(Boolean);
    const known = await handedOver(dir, "verl");
    let task = known.task;
    const metrics = lines.map((line, i) => {
      try {
        const { step, data } = JSON.parse(line) as { step: number; data: Record<string, number> };
        const named = Object.entries(data).map(([name, value]) => {
          const [, source, samples] = /^val-core\/(.*)\/[^/]+\/mean@(\d+)$/.exec(name) ?? [];
          if (source === undefined) return [VERL[name] ?? name, value];
          return [`eval/${task ??= source}/mean@${samples}`, value];
        });
        return { ...Object.fromEntries(named), [STEP]: step } as MetricsRecord;
      } catch (cause) {
        throw new SyntaxError(`${path}: line ${i + 1} is not of verl's logger`, { cause });
      }
    });
    const { task: _, samples: __, ...method } = known;
    const options = { engine: "verl", ...method };
    return { config: { task: task ?? "verl", options } as RunConfig, metrics };
  }
  return undefined;
}

/** What a folder that `export` wrote says of a run; nothing elsewhere. */
async function handedOver(dir: string, engine: "trl" | "verl"): Promise<{
  task?: string | undefined;
  samples?: string | undefined;
  lossAggregation?: unknown;
  lossAlpha?: unknown;
}> {
  const path = join(dir, `deltal_${engine}.json`);
  if (!await fileExists(path)) return {};
  const { task, aggregation, alpha } = await readJsonObject(path);
  const yaml = engine === "trl" ? await Deno.readTextFile(join(dir, "grpo.yaml")) : "";
  return {
    task: typeof task === "string" ? task : undefined,
    samples: /^num_generations_eval: (\d+)$/m.exec(yaml)?.[1],
    lossAggregation: aggregation,
    lossAlpha: alpha,
  };
}
