/**
 * What a session of a run did, added up.
 *
 * @module
 */

import type { StepReport } from "../rl/step_report.ts";

/** Phases in the order they are reported in. */
export const PHASES = [
  "warm start",
  "set-up",
  "rollouts",
  "rewards",
  "updates",
  "evaluation",
] as const;

/** What time is spent on. */
export type Phase = typeof PHASES[number];

/** Adds up what a session of a run did. */
export class Totals {
  /** Steps of this session. */
  steps = 0;
  /** Tokens sampled in them. */
  tokens = 0;
  readonly #seconds = new Map<Phase, number>();
  readonly #sums = new Map<string, number>();
  readonly #start = performance.now();

  /** Counts seconds towards a phase. */
  spend(phase: Phase, seconds: number): void {
    this.#seconds.set(phase, this.seconds(phase) + seconds);
  }

  /** Seconds of a phase. */
  seconds(phase: Phase): number {
    return this.#seconds.get(phase) ?? 0;
  }

  /** Seconds since this was made. */
  get elapsed(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Counts a step. */
  add({ metrics, completions }: StepReport): void {
    this.steps++;
    this.tokens += completions.reduce((n, { completionIds }) => n + completionIds.length, 0);
    for (const [name, value] of Object.entries(metrics)) {
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
    }
    this.spend("rollouts", metrics["timing_s/gen"] ?? 0);
    this.spend("rewards", metrics["timing_s/reward"] ?? 0);
    this.spend("updates", metrics["timing_s/update"] ?? 0);
  }

  /** A metric's mean over the steps; 0 where there was none. */
  mean(name: string): number {
    return (this.#sums.get(name) ?? 0) / Math.max(1, this.steps);
  }
}
