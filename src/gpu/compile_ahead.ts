/**
 * Compiling kernels on several processor cores at once, before they are needed.
 *
 * Mesa's software driver turns a kernel into machine code at its first dispatch, in the one thread of a device's queue,
 * and keeps the code on disk. Where it is not there yet, other devices of the same adapter, the helpers, dispatch
 * kernels in no workgroup; the device itself then finds their code on disk.
 *
 * @module
 */

import { processorCores } from "./adapter.ts";
import type { GpuCounters } from "./counters.ts";
import type { DeviceFacts } from "./facts.ts";
import type { KernelDescriptor } from "./kernel.ts";
import { StandIn } from "./stand_in.ts";

/** With what kernels are compiled ahead, and who is told. */
export interface CompileAheadOptions {
  /** Opens another device like the one that the kernels are for. */
  readonly another: () => Promise<GPUDevice>;
  /** Processor cores; the host's thread has one of them while it records. */
  readonly cores: number;
  /** A clock, in milliseconds. */
  readonly now: () => number;
  /** Where to count. */
  readonly counters: Pick<GpuCounters, "compileSeconds" | "kernelsAhead">;
  /** Is told how many kernels were given to helpers, and of how many. */
  readonly onProgress: (kernels: number, total: number) => void;
}

/** A kernel made for the device that has not been dispatched. */
interface Waiting {
  readonly descriptor: KernelDescriptor;
  /** Milliseconds it took to make. */
  readonly made: number;
}

/** Another device. */
interface Helper {
  readonly device: GPUDevice;
  readonly standIn: StandIn;
  /** What it was given last, and when. */
  kernel: Waiting | undefined;
  since: number;
}

/**
 * Milliseconds that trials may take, and their share of the time it takes to make kernels: what a process pays that finds
 * everything on disk.
 */
const [TRIAL_MS, TRIAL_SHARE] = [10, 0.01];

/** Machine code takes at least this long, in milliseconds and in times it takes to make the kernel; else it was on disk. */
const [COLD_MS, COLD_TIMES] = [10, 2];

/** Large kernels compile faster than small ones, for the time it takes to make them. */
const GROWTH = 0.8;

/** Milliseconds of compiling that are worth another device; opening one takes 50. */
const WORTH_A_DEVICE = 200;

/** Helpers are released when they have had nothing to do for this long, in milliseconds. */
const KEPT_MS = 1000;

/** Has kernels of a device compiled by others of its adapter, where that saves time. */
export class CompileAhead {
  readonly #device: GPUDevice;
  readonly #options: CompileAheadOptions;
  #waiting: Waiting[] = [];
  #helpers: Helper[] = [];
  /** Kernels that helpers were given and nobody has waited for. */
  #given = 0;
  #finishing: Promise<void> | undefined;
  /** How long machine code takes, for what it takes to make a kernel; undefined while kernels are found on disk. */
  #scale: number | undefined;
  #useless = false;
  #trials: StandIn | undefined;
  #released: Promise<unknown> = Promise.resolve();
  #madeMs = 0;
  #triedMs = 0;
  #lastUse = 0;

  /**
   * Opens nothing yet.
   *
   * @param device What the kernels are for.
   * @param options What to compile them with.
   */
  constructor(device: GPUDevice, options: CompileAheadOptions) {
    this.#device = device;
    this.#options = options;
  }

  /**
   * Takes note of a kernel, and may have it compiled beside what is recorded next.
   *
   * @param descriptor The kernel.
   * @param made Milliseconds it took to make.
   */
  add(descriptor: KernelDescriptor, made: number): void {
    if (this.#useless) return;
    this.#waiting.push({ descriptor, made });
    this.#madeMs += made;
    if (this.#scale === undefined) return;
    const { cores, now } = this.#options;
    for (const helper of this.#helpers.slice(0, Math.max(1, cores - 1))) {
      if (this.#waiting.length === 0 || this.#freeAt(helper) > now()) continue;
      try {
        this.#give(helper);
      } catch {
        return this.#giveUp();
      }
    }
  }

  /** Waits until what was taken note of is compiled, or leaves it to the device where that is as fast. */
  finish(): Promise<void> {
    return this.#finishing ??= this.#finish().finally(() => this.#finishing = undefined);
  }

  async #finish(): Promise<void> {
    if (this.#waiting.length === 0 && this.#given === 0) return;
    // A few small ones are as well compiled beside what comes next.
    if (this.#scale !== undefined && this.#left < WORTH_A_DEVICE) return;
    const { now, counters } = this.#options;
    const start = now();
    try {
      if (this.#scale !== undefined || await this.#isWorthIt()) await this.#compileAll();
    } catch {
      this.#giveUp();
    }
    this.#waiting = [];
    this.#given = 0;
    this.#lastUse = now();
    counters.compileSeconds += (this.#lastUse - start) / 1000;
  }

  /** Milliseconds that what is not compiled yet is likely to take. */
  get #left(): number {
    const given = this.#helpers.flatMap(({ kernel }) => kernel ?? []);
    return [...given, ...this.#waiting].reduce((sum, kernel) => sum + this.#expected(kernel), 0);
  }

  /** Finds out by the smallest kernel whether code is on disk, and if it is not, whether a helper's code gets there. */
  async #isWorthIt(): Promise<boolean> {
    const { now } = this.#options;
    const budget = TRIAL_MS + TRIAL_SHARE * this.#madeMs - this.#triedMs;
    const [tried, ...others] = this.#waiting.toSorted((a, b) => a.made - b.made);
    // The first trial takes place however slow this machine is.
    if (!tried || this.#triedMs > 0 && tried.made > budget) return false;
    const start = now();
    const took = this.#timed(this.#trials ??= new StandIn(this.#device), tried);
    this.#triedMs += now() - start;
    if (took < COLD_MS || took < COLD_TIMES * tried.made) return false;
    const [first] = await this.#open(1);
    // Code gets to disk in a thread of its own, which may have to wait for a core.
    const found = () => this.#timed(first!.standIn, tried) < took / 2;
    if (!found() && !found()) {
      this.#giveUp();
      return false;
    }
    this.#scale = took / tried.made ** GROWTH;
    this.#waiting = others;
    return true;
  }

  /** Milliseconds that a kernel's first dispatch takes. */
  #timed(standIn: StandIn, { descriptor }: Waiting): number {
    standIn.encode(descriptor);
    standIn.wait();
    const start = this.#options.now();
    standIn.submit();
    standIn.wait();
    return this.#options.now() - start;
  }

  /**
   * Has as many helpers as are worth it compile all that waits, one kernel at a time each: in Deno a second submit waits
   * for the first, and whether it is done cannot be asked without waiting. So those come first that are likely to be, and
   * there are two helpers more than cores: while one is waited for others are at work.
   */
  async #compileAll(): Promise<void> {
    const { cores, now, onProgress } = this.#options;
    const wanted = Math.max(1, Math.ceil(this.#left / WORTH_A_DEVICE));
    const helpers = await this.#open(Math.min(cores + 2, wanted));
    while (this.#waiting.length > 0) {
      const next = helpers.reduce((a, b) => this.#freeAt(b) < this.#freeAt(a) ? b : a);
      this.#await(next);
      this.#give(next);
      onProgress(this.#given, this.#given + this.#waiting.length);
    }
    const start = now();
    for (const helper of this.#helpers) this.#await(helper);
    // Where the last ones take no time, they were on disk, too, and others may be.
    if (now() - start < COLD_MS) this.#scale = undefined;
  }

  /** Waits for a helper and learns from how long it took. */
  #await(helper: Helper): void {
    const { now } = this.#options;
    const { kernel, since, standIn } = helper;
    const before = now();
    standIn.wait();
    helper.kernel = undefined;
    if (!kernel || this.#scale === undefined) return;
    const end = now();
    const ratio = (end - since) / this.#expected(kernel);
    // It may have been idle for a while.
    const atMost = end - before < 1;
    if (!atMost || ratio < 1) this.#scale *= Math.sqrt(ratio);
  }

  /** Gives a helper the largest kernel that waits. */
  #give(helper: Helper): void {
    const { now, counters } = this.#options;
    const kernel = this.#waiting.sort(largestFirst).shift()!;
    helper.standIn.encode(kernel.descriptor);
    helper.standIn.submit();
    helper.kernel = kernel;
    helper.since = this.#lastUse = now();
    counters.kernelsAhead++;
    this.#given++;
  }

  /** When a helper is likely to be idle. */
  #freeAt({ kernel, since }: Helper): number {
    return kernel ? since + this.#expected(kernel) : 0;
  }

  /** Milliseconds that a kernel's machine code is likely to take. */
  #expected({ made }: Waiting): number {
    return (this.#scale ?? 0) * made ** GROWTH;
  }

  /** The first helpers, opened where they are not. */
  async #open(count: number): Promise<Helper[]> {
    while (this.#helpers.length < count) {
      const device = await this.#options.another();
      // Whatever is wrong with a kernel, the device it is for says so.
      device.addEventListener("uncapturederror", (event) => event.preventDefault());
      this.#helpers.push({ device, standIn: new StandIn(device), kernel: undefined, since: 0 });
    }
    return this.#helpers.slice(0, count);
  }

  /** Leaves all to the device from now on. Nothing is lost: it compiles what it does not find. */
  #giveUp(): void {
    this.#useless = true;
    this.#waiting = [];
    this.#release();
  }

  #release(): void {
    for (const { device, standIn } of this.#helpers.splice(0)) {
      this.#released = Promise.all([this.#released, standIn.destroy()]);
      device.destroy();
    }
  }

  /** Releases helpers that have had nothing to do for a while. */
  rest(): void {
    if (this.#finishing || this.#options.now() - this.#lastUse < KEPT_MS) return;
    this.#waiting = [];
    this.#given = 0;
    this.#release();
  }

  /** Releases everything. */
  async close(): Promise<void> {
    this.#giveUp();
    await Promise.all([this.#released, this.#trials?.destroy()]);
  }
}

/**
 * Compiles ahead for a device, where its driver may put compiling off and there are cores to do it.
 *
 * @param device What the kernels are for.
 * @param facts Whether it compiles late, and can be waited for.
 * @param options How to open another device, where that can be done, and who is told.
 */
export function compileAhead(
  device: GPUDevice,
  { compilesLate, mapsSynchronously }: Pick<DeviceFacts, "compilesLate" | "mapsSynchronously">,
  { another, ...rest }: Pick<CompileAheadOptions, "counters" | "onProgress"> & {
    readonly another: CompileAheadOptions["another"] | undefined;
  },
): CompileAhead | undefined {
  const cores = processorCores();
  if (!another || !compilesLate || !mapsSynchronously || cores < 2) return undefined;
  return new CompileAhead(device, { ...rest, another, cores, now: () => performance.now() });
}

function largestFirst(a: Waiting, b: Waiting): number {
  return b.made - a.made;
}
