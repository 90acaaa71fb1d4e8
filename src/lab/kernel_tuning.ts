/**
 * Measuring which kernel of an operation is the fastest on a device.
 *
 * Kernels take turns, and a turn is compared with the built-in kernel's of the same round, so that what else the machine
 * does strikes all of them alike. Times are those of a submit with many repetitions, from handing it over to its result.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { HostArray } from "../gpu/host_array.ts";
import { Readback } from "../gpu/readback.ts";
import { readTensor, submit } from "../gpu/submit.ts";
import { type OperationKey, operationName } from "../ops/choices.ts";
import { median } from "./statistics.ts";
import type { TunableOperation } from "./tunable_operations.ts";
import { type TuningSubject, tuningSubject, type Workload } from "./tuning_subject.ts";

/** How long to measure. */
export interface TuningEffort {
  /** Turns of each kernel. Default 15. */
  readonly rounds?: number;
  /** Seconds of a turn, about. Default 0.004, or 0.1 where results have to be waited for. */
  readonly turn?: number;
}

/** What was found about an operation. */
export interface TunedOperation extends TunableOperation {
  /** The operation's name, as {@linkcode Gpu.kernels} has it. */
  readonly operation: string;
  /** The fastest kernel; the built-in one unless another is faster beyond doubt. */
  readonly best: string;
  /** Time of each kernel, relative to the built-in one: the median over the rounds. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Why kernels may not be chosen, by name. */
  readonly refused: Readonly<Record<string, string>>;
}

/** What varies is measured when it is full, and when only this share of it is in use. */
const FILLS = [1, 0.25];

/** A kernel wins if its time is at most this part of the built-in kernel's… */
const WORTHWHILE = 0.95;

/** …and more than this share of its turns are faster. */
const MOSTLY = 0.75;

/** After this many turns, kernels slower than the built-in one by more than this get no more. */
const FIRST_TURNS = 4;
const SLOW = 1.1;

/**
 * Finds the fastest kernel of an operation.
 *
 * @param gpu The device; its {@linkcode Gpu.kernels} are left as they were.
 * @param tunable The operation and its kernels, as `tunableOperations` lists them.
 * @param workload The batches that attention is measured on.
 * @param effort How long to measure.
 * @throws {Error} If the built-in kernel cannot be run, for lack of memory for one.
 */
export async function tuneOperation(
  gpu: Gpu,
  tunable: TunableOperation,
  workload: Workload,
  effort: TuningEffort = {},
): Promise<TunedOperation> {
  const { rounds = 15, turn = gpu.mapsSynchronously ? 0.004 : 0.1 } = effort;
  const { key, candidates } = tunable;
  const builtIn = candidates[0]!;
  const refused: Record<string, string> = {};
  const ratios: Record<string, number> = { [builtIn]: 1 };
  await using runs = new AsyncDisposableStack();
  const own = (candidate: string) => Run.create(gpu, key, candidate, workload);
  const standard = runs.use(await own(builtIn));
  const expected = await standard.results();
  const others: Run[] = [];
  for (const candidate of candidates.slice(1)) {
    try {
      const run = await own(candidate);
      runs.use(run);
      const difference = largestDifference(await run.results(), expected);
      if (difference <= run.subject.tolerance) others.push(run);
      else refused[candidate] = `differs from ${builtIn} by ${difference.toExponential(1)}`;
    } catch (error) {
      refused[candidate] = error instanceof Error ? error.message : String(error);
    }
  }
  const times = await standard.repetitions(turn);
  let best = builtIn;
  if (others.length > 0) {
    const compared = await compare(standard, others, times, rounds);
    for (const { name, ratio } of compared) ratios[name] = ratio;
    const [first] = compared.filter(isFaster).sort((a, b) => a.ratio - b.ratio);
    if (first) {
      // The fastest of several may have been lucky: it has to be fast once more.
      const again = others.filter(({ name }) => name === first.name);
      const [confirmed] = await compare(standard, again, times, 2 * rounds);
      ratios[first.name] = Math.max(first.ratio, confirmed!.ratio);
      if (isFaster(confirmed!)) best = first.name;
    }
  }
  return { key, operation: operationName(key), candidates, best, ratios, refused };
}

interface Compared {
  readonly name: string;
  /** Median of its time over the built-in kernel's. */
  readonly ratio: number;
  /** Share of the turns that were faster. */
  readonly faster: number;
}

function isFaster({ ratio, faster }: Compared): boolean {
  return ratio <= WORTHWHILE && faster >= MOSTLY;
}

async function compare(
  standard: Run,
  others: readonly Run[],
  times: readonly number[],
  rounds: number,
): Promise<Compared[]> {
  let all = [standard, ...others];
  const logs = new Map(others.map((run) => [run, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    if (round === FIRST_TURNS) {
      all = all.filter((run) => run === standard || median(logs.get(run)!) <= Math.log(SLOW));
      if (all.length === 1) break;
    }
    const seconds = new Map(all.map((run) => [run, [] as number[]]));
    for (const [i, fill] of FILLS.entries()) {
      // Whoever begins may find the caches cold.
      const order = round % 2 === 0 ? all : all.toReversed();
      for (const run of order) seconds.get(run)!.push(await run.time(fill, times[i]!));
    }
    const reference = seconds.get(standard)!;
    for (const run of all.slice(1)) {
      const mean = seconds.get(run)!.reduce((sum, s, i) => sum + Math.log(s / reference[i]!), 0);
      logs.get(run)!.push(mean / FILLS.length);
    }
  }
  return others.map((run) => {
    const turns = logs.get(run)!;
    const faster = turns.filter((log) => log < 0).length / turns.length;
    return { name: run.name, ratio: Math.exp(median(turns)), faster };
  });
}

/** An operation with one of its kernels, ready to run. */
class Run implements AsyncDisposable {
  readonly name: string;
  readonly subject: TuningSubject;
  readonly #gpu: Gpu;
  readonly #end: Readback;

  private constructor(gpu: Gpu, name: string, subject: TuningSubject) {
    this.#gpu = gpu;
    this.name = name;
    this.subject = subject;
    // One element tells that everything is done.
    this.#end = new Readback(gpu, [subject.outputs[0]!.view([1])]);
  }

  static async create(
    gpu: Gpu,
    key: OperationKey,
    candidate: string,
    workload: Workload,
  ): Promise<Run> {
    const { kernels } = gpu;
    gpu.kernels = { [operationName(key)]: candidate };
    let subject: TuningSubject;
    try {
      subject = tuningSubject(gpu, key, workload);
    } finally {
      gpu.kernels = kernels;
    }
    try {
      await subject.plan.compile();
      subject.upload();
      return new Run(gpu, candidate, subject);
    } catch (error) {
      subject.destroy();
      throw error;
    }
  }

  /** What it computes when it is full. */
  async results(): Promise<HostArray[]> {
    this.subject.fill(1);
    submit(this.#gpu, [this.subject.plan]);
    const results: HostArray[] = [];
    for (const output of this.subject.outputs) results.push(await readTensor(this.#gpu, output));
    return results;
  }

  /** How often to repeat it for a turn of about so many seconds, at each fill. */
  async repetitions(turn: number): Promise<number[]> {
    const counts: number[] = [];
    for (const fill of FILLS) {
      await this.time(fill, 1);
      let times = 1;
      for (let seconds = 0; times < 1000; times *= 2) {
        seconds = await this.time(fill, times);
        if (seconds >= turn / 2) break;
      }
      counts.push(times);
    }
    return counts;
  }

  /** Seconds of some repetitions. */
  async time(fill: number, times: number): Promise<number> {
    this.subject.fill(fill);
    const start = performance.now();
    submit(this.#gpu, [{ plan: this.subject.plan, times }], this.#end);
    await this.#end.take();
    return (performance.now() - start) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gpu.finish();
    this.#end.destroy();
    this.subject.destroy();
  }
}

/** The largest difference of two results, relative to the largest element of each; what is not a number differs by infinity. */
function largestDifference(values: readonly HostArray[], expected: readonly HostArray[]): number {
  let largest = 0;
  for (const [i, one] of expected.entries()) {
    let scale = 0;
    let difference = 0;
    for (let j = 0; j < one.length; j++) {
      scale = Math.max(scale, Math.abs(one[j]!));
      const apart = Math.abs(values[i]![j]! - one[j]!);
      difference = Number.isNaN(apart) ? Infinity : Math.max(difference, apart);
      if (difference === Infinity) return Infinity;
    }
    if (difference > 0) largest = Math.max(largest, difference / scale);
  }
  return largest;
}
