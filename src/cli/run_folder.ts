/**
 * The folder of a run, and what its config.json says.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Trainer } from "../rl/trainer.ts";
import { type RunConfig, RunDirectory } from "../run/run_directory.ts";
import { numbersOf } from "../run/numbers.ts";
import { restoreTrainer } from "../run/trainer_checkpoint.ts";
import { changedOptions, type TrainerState } from "../run/trainer_state.ts";
import { VERSION } from "../run/version.ts";
import { RUNS } from "./runs.ts";
import type { NewRun, TrainSettings } from "./train_settings.ts";
import { shortStorage } from "../model/policy_storage.ts";

/** Opens the run's folder; a resumed run gets its checkpoint back first. */
export async function openRun(
  trainer: Trainer,
  settings: TrainSettings,
  command: string,
): Promise<{ readonly folder: RunDirectory; readonly config: RunConfig }> {
  const options = { completionsPerStep: settings.logCompletions };
  if (settings.kind === "new") {
    const config = await runConfig(trainer, settings, {
      source: describeSource(settings),
      started: new Date().toISOString(),
      command,
    });
    const folder = settings.out === undefined
      ? await RunDirectory.createNext(RUNS, settings.task.name, config, options)
      : await RunDirectory.create(settings.out, config, options);
    return { folder, config };
  }
  const { dir, lock, state } = settings;
  await restoreTrainer(settings.checkpoint, trainer);
  const { source = null, started = null, command: first, resumed } = settings.config;
  const now = {
    step: state.completedSteps,
    at: new Date().toISOString(),
    command,
    changed: changedOptions(state, settings.options),
    ...(await computesAlike(trainer.policy.gpu, state) ? {} : { before: deviceOf(state) }),
  };
  const config = await runConfig(trainer, settings, {
    source,
    started,
    command: first,
    resumed: [...Array.isArray(resumed) ? resumed : [], now],
  });
  const folder = await RunDirectory.resume(dir, lock, state.completedSteps, config, options);
  return { folder, config };
}

async function runConfig(
  { options, policy }: Trainer,
  { task, taskFiles, checkpoints, logCompletions, reportTo, device }: TrainSettings,
  more: Record<string, unknown>,
): Promise<RunConfig> {
  return {
    task: task.name,
    ...(Object.keys(taskFiles).length > 0 ? { taskFiles } : {}),
    seed: options.seed,
    options,
    ...shortStorage(policy.parameters),
    policy: policy.config,
    saveSteps: checkpoints.saveSteps,
    keepCheckpoints: checkpoints.keepCheckpoints,
    saveBest: checkpoints.saveBest ? checkpoints.metric : undefined,
    patience: checkpoints.patience,
    logCompletions,
    reportTo,
    ...more,
    ...(Object.keys(device).length > 0 ? { device } : {}),
    adapter: policy.gpu.adapter,
    numbers: await numbersOf(policy.gpu),
    ...(Object.keys(policy.gpu.kernels).length > 0 ? { kernels: policy.gpu.kernels } : {}),
    versions: { deltal: VERSION, ...Deno.version },
  };
}

/** Whether a device computes the numbers of the one that made a checkpoint. */
export async function computesAlike(gpu: Gpu, state: TrainerState): Promise<boolean> {
  return state.numbers === undefined
    ? state.adapter === gpu.adapter.description
    : state.numbers === await numbersOf(gpu);
}

/** The device that made a checkpoint. */
function deviceOf({ adapter, numbers }: TrainerState): Record<string, unknown> {
  return { adapter, numbers };
}

function describeSource({ source }: NewRun): unknown {
  if (source.kind === "folder") return source;
  if (source.kind === "random") return { kind: source.kind, seed: source.seed };
  const { task, ...recipe } = source.recipe;
  return { kind: source.kind, recipe: { task: task.name, ...recipe } };
}
