/**
 * Where the metrics of a run are shown beside its own files: TensorBoard, Weights & Biases.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import type { MetricsRecord } from "../run/metrics_log.ts";
import type { RunConfig } from "../run/run_directory.ts";
import { TensorBoardLog } from "../run/tensorboard_log.ts";
import { WandbRun } from "../run/wandb_run.ts";
import type { Flag } from "./args.ts";
import { withAllPermissions } from "./command_name.ts";

const NAMES = ["tensorboard", "wandb"] as const;

/** One of the trackers. */
export type TrackerName = typeof NAMES[number];

/** The flag that names some of them. */
export const REPORT_TO_FLAG: Flag<readonly TrackerName[]> = {
  parse(text: string): readonly TrackerName[] {
    if (text === "none") return [];
    const names = [...new Set(text.split(","))];
    const isKnown = (name: string): name is TrackerName => NAMES.some((known) => known === name);
    if (!names.every(isKnown)) {
      throw new RangeError(`give ${NAMES.join(", ")}, several with commas, or none`);
    }
    return names;
  },
  placeholder: NAMES.join(","),
  help:
    "Show metrics in TensorBoard (an event file in the run's folder) or at Weights & Biases too.",
  default: "none",
};

/** The trackers of a run that a config names; what else stands there counts as none. */
export function recordedTrackers(config: RunConfig): readonly TrackerName[] {
  const { reportTo } = config;
  return NAMES.filter((name) => Array.isArray(reportTo) && reportTo.includes(name));
}

/** What trackers are told at first. */
export interface TrackedRun {
  /** Folder of the run. */
  readonly dir: string;
  /** Its settings. */
  readonly config: RunConfig;
  /** Steps it goes on from; `undefined` for a new one. */
  readonly resumeStep: number | undefined;
  /** Is told what goes wrong; the run goes on. */
  readonly warn: (text: string) => void;
}

/** The trackers of a run. */
export class Trackers implements AsyncDisposable {
  /** Where they show it, one line each. */
  readonly places: readonly string[];
  /** What they are told of the end: 0 if the run is done. */
  exitCode = 1;
  readonly #tensorBoard: TensorBoardLog | undefined;
  readonly #wandb: WandbRun | undefined;

  private constructor(dir: string, tensorBoard?: TensorBoardLog, wandb?: WandbRun) {
    this.#tensorBoard = tensorBoard;
    this.#wandb = wandb;
    this.places = [
      ...(tensorBoard ? [`tensorboard --logdir ${dir}`] : []),
      ...(wandb ? [wandb.url] : []),
    ];
  }

  /**
   * Begins to track.
   *
   * @throws {Error} If one of them cannot be used, saying what to do.
   */
  static async open(names: readonly TrackerName[], run: TrackedRun): Promise<Trackers> {
    const { dir, config, resumeStep, warn } = run;
    const wandb = names.includes("wandb")
      ? await WandbRun.begin(
        { project: "deltal", name: basename(resolve(dir)), config },
        (reason) => warn(`warning: nothing more is sent to Weights & Biases: ${reason}`),
      ).catch((error) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(
          `--report-to wandb: ${reason}. It needs a key (WANDB_API_KEY) and the network, which ` +
            `${withAllPermissions(["train"])} … has`,
          { cause: error },
        );
      })
      : undefined;
    const tensorBoard = names.includes("tensorboard")
      ? TensorBoardLog.open(dir, { resumeStep })
      : undefined;
    const json = JSON.stringify(config, null, 2);
    tensorBoard?.appendText(resumeStep ?? 0, "config", `\`\`\`json\n${json}\n\`\`\``);
    return new Trackers(dir, tensorBoard, wandb);
  }

  /** Shows a line of metrics. */
  append(line: MetricsRecord): void {
    this.#tensorBoard?.append(line);
    this.#wandb?.append(line);
  }

  /** Ends tracking. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#tensorBoard?.close();
    await this.#wandb?.finish(this.exitCode);
  }
}
