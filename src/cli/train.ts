/**
 * `train`: reinforcement learning on a task with a verifiable reward, from nothing or from a policy.
 *
 * @module
 */

import { countParameters } from "../model/config.ts";
import type { Gpu } from "../gpu/device.ts";
import { Policy } from "../model/policy.ts";
import type { PolicyStorageOptions } from "../model/policy_storage.ts";
import { describeObjective } from "../rl/describe_objective.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { Trainer } from "../rl/trainer.ts";
import { hasEvaluation } from "../run/metrics_log.ts";
import { readRunMetrics } from "../run/run_directory.ts";
import { LiveServer } from "../run/live_server.ts";
import { type FlagValues, namingFlags, UsageError } from "./args.ts";
import { type Command, command } from "./command.ts";
import { commandLine } from "./command_name.ts";
import { overlongLines } from "./evaluation_table.ts";
import { withGpu } from "./gpu.ts";
import { GpuProfile } from "./gpu_profile.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { describeLive } from "./live.ts";
import { type Fitted, withinMemory } from "./memory_check.ts";
import { standardError, whileCompiling } from "./progress.ts";
import { computesAlike } from "./run_folder.ts";
import { dim, lineWidth, short, wrap } from "./style.ts";
import { Totals } from "./totals.ts";
import { TRAIN_FLAGS, TRAIN_SECTIONS } from "./train_flags.ts";
import { runSession, type Session } from "./train_session.ts";
import { type ResumedRun, trainSettings } from "./train_settings.ts";
import { warmPolicy, withinBudget } from "./warm_policy.ts";

/** `train`. */
export const TRAIN: Command = command({
  name: "train",
  brief: "Train a policy on a task with a verifiable reward",
  about: "Trains a policy on a task with a verifiable reward: a warm start on imperfect " +
    "demonstrations, then reinforcement learning with the ΔL-normalised policy gradient. Ctrl-C " +
    "stops after the step at hand, a second one at once.",
  sections: TRAIN_SECTIONS,
  examples: [
    ["deno task train", "parity, from nothing, in minutes"],
    ["deno task train --task countdown --loss-alpha 0.75", "the paper's task, another exponent"],
    ["deno task train --resume", "go on with the latest run"],
  ],
  flags: TRAIN_FLAGS,
  run,
});

async function run(
  values: FlagValues<typeof TRAIN_FLAGS>,
  args: readonly string[],
): Promise<number> {
  // Before anything else, because the port may be in use.
  await using live = values.serve === undefined ? undefined : LiveServer.start(values.serve);
  const settings = await trainSettings(values);
  using _lock = settings.kind === "resumed" ? settings.lock : undefined;
  await using _folder = settings.kind === "new" ? settings.folder : undefined;
  if (settings.kind === "resumed" && await isFinished(settings)) {
    console.log(
      `${settings.dir} has done all of its ${settings.options.maxSteps} steps: --max-steps gives it more`,
    );
    return 0;
  }
  const output = standardError(values.quiet, (state) => live?.feed.progress(state));
  using interrupt = Interrupt.said(output, "after this step");
  const { profile = false, report = true, merge = false } = values;
  const totals = new Totals();
  const session: Session = {
    command: commandLine(["train", ...args]),
    settings,
    output,
    interrupt,
    totals,
    live,
    profile,
    report,
    merge,
  };
  try {
    const code = await withGpu((gpu) => trainOn(gpu, session), {
      ...values,
      ...settings.device,
      // The bits of a run depend on its kernels, whatever was tuned since it began.
      ...(settings.kind === "resumed" ? { kernels: settings.kernels } : {}),
    });
    live?.feed.end(code === INTERRUPTED ? "stopped" : "done");
    return code;
  } catch (error) {
    live?.feed.end(`failed: ${error instanceof Error ? error.message : error}`);
    throw error;
  }
}

/** Whether there is nothing left to do for a run: no step, and no evaluation after the last one. */
async function isFinished({ dir, state, options }: ResumedRun): Promise<boolean> {
  const { completedSteps } = state;
  if (completedSteps < options.maxSteps) return false;
  const lines = await readRunMetrics(dir);
  return lines.some((line) =>
    line["training/global_step"] === completedSteps && hasEvaluation(line)
  );
}

async function trainOn(gpu: Gpu, given: Session): Promise<number> {
  const { options } = given.settings;
  // What adapters are added to is not trained.
  const storage = { ...given.settings.storage, trainable: options.loraRank === 0 };
  const fitted = await withinMemory(gpu, given.settings, storage);
  const { settings } = fitted;
  const session = { ...given, settings };
  const { output, totals, live } = session;
  using profile = session.profile ? new GpuProfile(gpu) : undefined;
  if (live) {
    live.feed.describe(describeLive(gpu, settings));
    console.log(`live page: ${live.url}`);
  }
  if (!output.quiet) { for (const line of overlongLines(settings.task)) console.log(dim(line)); }
  const policy = await obtainPolicy(gpu, session, storage, fitted);
  if (policy === undefined) {
    output.write("the warm start is not finished: nothing is kept of it\n");
    return INTERRUPTED;
  }
  const trainer = await whileCompiling(
    output,
    gpu,
    () => namingFlags(TRAIN_FLAGS, () => Trainer.create(policy, settings.task, settings.options)),
  );
  if (!output.quiet) console.log(dim(objectiveLines(trainer.options).join("\n")));
  totals.spend("set-up", totals.elapsed - totals.seconds("warm start"));
  try {
    const { adapters } = policy.parameters;
    if (session.merge && !adapters) {
      throw new UsageError(
        "--merge adds adapters to a model, and there are none: give --lora-rank",
      );
    }
    return await runSession(trainer, session, profile);
  } finally {
    trainer.destroy();
    policy.destroy();
  }
}

/** The policy to begin with; `undefined` if its warm start was interrupted. */
async function obtainPolicy(
  gpu: Gpu,
  session: Session,
  storage: Required<PolicyStorageOptions>,
  memory: Fitted<unknown>,
): Promise<Policy | undefined> {
  const { settings, output, totals } = session;
  const say = (text: string) => output.quiet || console.log(text);
  const { dtype } = storage;
  const adapts = settings.options.loraRank > 0;
  const where = `${dtype === "f32" ? "" : `stored in ${dtype}, `}on ${gpu.adapter.description}`;
  const sayMemory = () => say(dim(memory.line));
  if (settings.kind === "resumed") {
    const { dir, state } = settings;
    say(`resuming ${dir} after step ${state.completedSteps}, ${where}`);
    if (!await computesAlike(gpu, state)) {
      console.error(
        `warning: this device computes other bits than the one that made the checkpoint (${state.adapter}): ` +
          "the run goes on, but not to the weights it would have had there",
      );
    }
    sayMemory();
    return await Policy.load(gpu, settings.checkpoint, storage);
  }
  const { source, task } = settings;
  if (source.kind === "folder") {
    say(`training the policy of ${source.dir} on ${task.name}, ${where}`);
    sayMemory();
    return await Policy.load(gpu, source.dir, storage);
  }
  if (settings.memoryBudget !== undefined || memory.changed) sayMemory();
  if (source.kind === "random") {
    if (adapts) {
      throw new UsageError(
        "--lora-rank adapts a model that can already do something: give --policy, or a warm start",
      );
    }
    say(`training a policy with random weights on ${task.name}, ${where}`);
    return Policy.create(gpu, source.config, { seed: source.seed, dtype });
  }
  const { recipe, line } = await withinBudget(gpu, source.recipe, settings.memoryBudget);
  say(
    `training a policy of ${short(countParameters(recipe.policy))} parameters on ${task.name}, ` +
      where,
  );
  if (line) say(dim(line));
  const warm = await warmPolicy(gpu, recipe, session);
  if (warm === undefined) return undefined;
  totals.spend("warm start", warm.seconds);
  say(dim(`warm start ${warm.cached ? "found" : "made"}: ${warm.dir}`));
  if (dtype === "f32" && !adapts) return warm.policy;
  // Warm starts are made in f32, so that runs in either begin with the same weights; adapters name the folder as their base.
  warm.policy.destroy();
  return await Policy.load(gpu, warm.dir, storage);
}

/** What is minimised, in the lines it takes. */
function objectiveLines(options: ResolvedTrainOptions): string[] {
  const lines = new Map(describeObjective(options));
  const formula = `minimises ${lines.get("loss")} with ${lines.get("weights")}; ` +
    `${lines.get("surrogate")}; ${lines.get("advantage")}` +
    (lines.has("reward") ? `; ${lines.get("reward")}` : "");
  return wrap(formula, lineWidth());
}
