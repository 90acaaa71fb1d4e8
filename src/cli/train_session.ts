/**
 * A session of a run: evaluate, step by step, evaluate, sum up.
 *
 * @module
 */

import type { Evaluation } from "../rl/evaluation.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import type { Trainer } from "../rl/trainer.ts";
import { hasEvaluation } from "../run/metrics_log.ts";
import { readRunMetrics, type StepLines } from "../run/run_directory.ts";
import type { LiveServer } from "../run/live_server.ts";
import { RunCheckpoints } from "../run/run_checkpoints.ts";
import { evaluationAt } from "./evaluation_table.ts";
import type { GpuProfile } from "./gpu_profile.ts";
import { type Interrupt, INTERRUPTED } from "./interrupt.ts";
import { describeLive } from "./live.ts";
import { COMPILING, evaluating, Progress, type ProgressOutput } from "./progress.ts";
import { reportAtEnd } from "./report.ts";
import { openRun } from "./run_folder.ts";
import { lineWidth } from "./style.ts";
import { formatSummary } from "./summary.ts";
import type { Totals } from "./totals.ts";
import { Trackers } from "./trackers.ts";
import type { TrainSettings } from "./train_settings.ts";

/** What the phases of a session share. */
export interface Session {
  /** How the command was called. */
  readonly command: string;
  /** What to do. */
  readonly settings: TrainSettings;
  /** Where progress is shown. */
  readonly output: ProgressOutput;
  /** What may stop it. */
  readonly interrupt: Interrupt;
  /** What it has done. */
  readonly totals: Totals;
  /** Its live page. */
  readonly live: LiveServer | undefined;
  /** Whether the GPU is timed. */
  readonly profile: boolean;
  /** Whether to write a whole model with the adapters added at the end. */
  readonly merge: boolean;
  /** Whether a report is written at the end. */
  readonly report: boolean;
}

/**
 * Trains until the last step or an interrupt.
 *
 * @returns The exit code.
 */
export async function runSession(
  trainer: Trainer,
  session: Session,
  profile: GpuProfile | undefined,
): Promise<number> {
  const { settings, output, interrupt, totals, live } = session;
  const { task, options } = settings;
  const { saveSteps } = settings.checkpoints;
  const { maxSteps } = options;
  const { folder: opened, config } = await openRun(trainer, settings, session.command);
  using folder = opened;
  await using trackers = await Trackers.open(settings.reportTo, {
    dir: folder.path,
    config,
    resumeStep: settings.kind === "resumed" ? trainer.completedSteps : undefined,
    warn: (text) => output.write(`${text}\n`),
  });
  const show = ({ line, completions }: StepLines, warnings: readonly string[] = []) => {
    trackers.append(line);
    live?.feed.step({ line, completions }, warnings);
  };
  if (live) {
    live.feed.describe(describeLive(trainer.policy.gpu, settings, folder.path));
    live.feed.recall(await readRunMetrics(folder.path));
  }

  const evaluateNow = async (): Promise<Evaluation> => {
    const start = performance.now();
    const evaluation = await evaluating(output, (onProgress) => trainer.evaluate({ onProgress }));
    totals.spend("evaluation", (performance.now() - start) / 1000);
    return evaluation;
  };

  let loggedStep = trainer.completedSteps;
  const checkpoints = await RunCheckpoints.open(
    folder.path,
    settings.checkpoints,
    trainer,
    await readRunMetrics(folder.path),
  );
  if (settings.kind === "new") await checkpoints.save(trainer);
  if (await owesEvaluation(folder.path, trainer, settings)) {
    const lines = folder.appendEvaluation(loggedStep, task, await evaluateNow());
    show(lines);
    await checkpoints.evaluated(trainer, lines.line);
  }
  let interrupted = await interrupt.requested();
  const progress = new Progress(output, "train", maxSteps, trainer.completedSteps, COMPILING);
  profile?.begin();
  try {
    while (trainer.completedSteps < maxSteps && !interrupted && !checkpoints.exhausted) {
      const report = await trainer.next();
      totals.add(report);
      await profile?.collect();
      for (const warning of report.warnings) progress.note(`warning: ${warning}`);
      progress.update(report.step, stepText(report.metrics));
      interrupted = await interrupt.requested();
      const last = report.step === maxSteps;
      // What an interrupt leaves out, the session that goes on makes up for.
      const due = isDue(report.step, options) && !interrupted;
      const evaluation = due ? await evaluateNow() : undefined;
      if (evaluation && !last) interrupted = await interrupt.requested();
      const lines = folder.append(report, task, evaluation);
      loggedStep = report.step;
      show(lines, report.warnings);
      if (evaluation) await checkpoints.evaluated(trainer, lines.line);
      const end = last || interrupted || checkpoints.exhausted;
      const saves = end || (saveSteps > 0 && report.step % saveSteps === 0);
      if (saves && checkpoints.savedStep !== report.step) await checkpoints.save(trainer);
    }
  } catch (error) {
    // A verifier that fails should not cost the steps since the last checkpoint.
    const good = trainer.isBetweenSteps && trainer.completedSteps === loggedStep;
    if (good && loggedStep > checkpoints.savedStep) {
      try {
        await checkpoints.save(trainer);
      } catch {
        // The first error is the one to tell, and the checkpoint before is still there.
      }
    }
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${message}. ${folder.checkpointPath} holds step ${checkpoints.savedStep}, intact`,
      { cause: error },
    );
  } finally {
    progress.clear();
  }
  const metrics = await readRunMetrics(folder.path);
  console.log(formatSummary({
    task,
    totals,
    completedSteps: trainer.completedSteps,
    interrupted,
    checkpoints,
    before: evaluationAt(metrics, task, 0),
    after: interrupted ? undefined : evaluationAt(metrics, task, trainer.completedSteps),
    options,
    compileSeconds: trainer.policy.gpu.counters.compileSeconds,
    peakBytes: trainer.policy.gpu.counters.peakBytesAllocated,
    dir: folder.path,
    places: trackers.places,
  }, lineWidth()));
  if (profile) {
    await profile.collect();
    console.log(profile.format());
  }
  if (session.merge && !interrupted) {
    const merged = `${folder.path}/merged`;
    await trainer.policy.save(merged, { merge: true });
    console.log(`${"merged".padEnd(12)}${merged}`);
  }
  if (session.report && !interrupted) {
    console.log(`${"report".padEnd(12)}${await reportAtEnd(folder.path)}`);
  }
  return trackers.exitCode = interrupted ? INTERRUPTED : 0;
}

/** Whether an evaluation belongs to a step. */
function isDue(step: number, { maxSteps, evalSteps }: ResolvedTrainOptions): boolean {
  return step === 0 || step === maxSteps || (evalSteps > 0 && step % evalSteps === 0);
}

/** Whether the evaluation of the step that a session begins at has not been made yet. */
async function owesEvaluation(
  dir: string,
  { completedSteps, options }: Trainer,
  settings: TrainSettings,
): Promise<boolean> {
  // The settings of the session that made the step say what it owed.
  const { evalSteps } = settings.kind === "resumed" ? settings.state.options : options;
  if (!isDue(completedSteps, { ...options, evalSteps })) return false;
  const lines = await readRunMetrics(dir);
  return !lines.some((line) =>
    line["training/global_step"] === completedSteps && hasEvaluation(line)
  );
}

function stepText(metrics: Readonly<Record<string, number>>): string {
  const figure = (name: string, digits: number) => metrics[name]?.toFixed(digits) ?? "–";
  return `reward ${figure("reward/mean", 3)}  length ${figure("response_length/mean", 1)}  ` +
    `entropy ${figure("actor/entropy", 2)}`;
}
