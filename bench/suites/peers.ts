/**
 * The same work by other engines on the same adapter, in turns within one run.
 *
 * Each engine is a process; only one works at a time. Medians are taken over all turns, and a few results are compared so
 * that no figure stands for wrong numbers.
 *
 * @module
 */

import { median } from "../harness/measure.ts";
import { type EngineCommand, EngineProcess, type Turn } from "../harness/process.ts";
import { type Cell, figure, table } from "../harness/table.ts";
import { type Item, itemName } from "../harness/work_items.ts";
import type { ApiCalls } from "../harness/worker.ts";

/** What one engine did of one item. */
export interface PeerFigure {
  /** Median milliseconds until the device was done. */
  readonly wallMs: number;
  /** Median milliseconds of CPU time. */
  readonly cpuMs: number;
  /** Milliseconds of the first run, compilation included. */
  readonly firstMs: number;
  /** Runs. */
  readonly runs: number;
  /** Calls of WebGPU per run. */
  readonly calls: ApiCalls;
  /** GPU memory at its peak, bytes. */
  readonly peakBytes: number;
  /** What was measured, where it differs from what was asked for. */
  readonly note?: string;
  /** Set if the results differ from the first engine's. */
  readonly wrong?: true;
}

/** One item by every engine. */
export interface PeerResult {
  /** The item. */
  readonly item: Item;
  /** By engine; an engine that cannot do the item, or failed, is missing. */
  readonly engines: Readonly<Record<string, PeerFigure>>;
  /** Messages of engines that failed. */
  readonly failures: Readonly<Record<string, string>>;
}

const root = new URL("../../", import.meta.url);
const path = (relative: string) => new URL(relative, root).pathname;

/** This library's engine; the others are compared with it. */
export const OURS = "deltal";

function denoEngine(name: string, script: string, config: string): EngineCommand {
  const flags = ["-A", "--quiet", "--config", path(config)];
  return { name, command: [Deno.execPath(), "run", ...flags, path(script)] };
}

/** Engines that run here: PyTorch only where Python has it. */
export async function engines(options: { npm: boolean }): Promise<EngineCommand[]> {
  const found = [denoEngine(OURS, "bench/suites/deltal_engine.ts", "deno.json")];
  if (options.npm) {
    const peer = (name: string, file: string) =>
      denoEngine(name, `bench/peers/${file}`, "bench/peers/deno.json");
    found.push(peer("jax-js", "jax_js.ts"));
    found.push(peer("tfjs", "tfjs.ts"));
    found.push(peer("onnxruntime", "onnxruntime.ts"));
  }
  const python = await pythonWithTorch();
  if (python) {
    found.push({
      name: `torch ${python.device}`,
      command: [python.program, path("bench/peers/torch_engine.py")],
    });
  }
  return found;
}

/** Python with PyTorch, if there is one: `$PYTHON`, else `python3`. */
export async function pythonWithTorch(): Promise<
  { program: string; device: string; version: string } | undefined
> {
  const program = Deno.env.get("PYTHON") ?? "python3";
  const code = "import torch; print(torch.__version__); " +
    "print('CUDA' if torch.cuda.is_available() else 'CPU')";
  try {
    const { success, stdout } = await new Deno.Command(program, {
      args: ["-c", code],
      stderr: "null",
    }).output();
    const [version, device] = new TextDecoder().decode(stdout).split("\n");
    return success && version && device ? { program, version, device } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The items of a full comparison.
 *
 * @param options `large` adds sizes that only a real GPU is good for.
 */
export function peerItems(options: { large: boolean }): Item[] {
  const matmul = (layout: "nn" | "nt" | "tn", m: number, k: number, n: number): Item => ({
    kind: "matmul",
    layout,
    m,
    k,
    n,
  });
  const sizes = [256, 512, 1024, ...(options.large ? [2048, 4096] : [])];
  const square = sizes.map((n) => matmul("nn", n, n, n));
  // The products of a policy of width 128 on 1024 tokens: forward, gradient of the input, of the weight.
  const policy = [[128, 384], [128, 128], [128, 688], [344, 128], [128, 64]].flatMap(([k, n]) => [
    matmul("nt", 1024, k!, n!),
    matmul("nn", 1024, n!, k!),
    matmul("tn", n!, 1024, k!),
  ]);
  const tiny = { width: 128, layers: 4, heads: 4, vocabulary: 64 };
  const small = { width: 64, layers: 2, heads: 4, vocabulary: 64 };
  return [
    ...square,
    ...policy,
    { kind: "softmax", rows: 1024, columns: 4096 },
    { kind: "sum", n: 2 ** 24 },
    { kind: "step", ...tiny, batch: 8, context: 128 },
    { kind: "generate", ...small, sequences: 256, prompt: 16, context: 48 },
  ];
}

/** A few of the items, for trying out that everything runs. */
export function quickPeerItems(): Item[] {
  return [
    { kind: "matmul", layout: "nt", m: 64, k: 32, n: 48 },
    { kind: "softmax", rows: 16, columns: 64 },
    { kind: "sum", n: 2 ** 14 },
    { kind: "step", width: 32, layers: 1, heads: 2, vocabulary: 16, batch: 2, context: 16 },
  ];
}

/** How long to compare. */
export interface PeerEffort {
  /** Turns of each engine. */
  readonly rounds: number;
  /** A turn lasts about this long. */
  readonly turnMs: number;
}

/** Whether two engines agree, to a thousandth of the largest of the compared values. */
function agree(a: readonly number[] | undefined, b: readonly number[] | undefined): boolean {
  if (!a || !b) return true;
  const scale = a.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  return a.length === b.length && a.every((v, i) => Math.abs(v - b[i]!) <= 1e-3 * scale);
}

async function compare(
  item: Item,
  processes: readonly EngineProcess[],
  effort: PeerEffort,
): Promise<PeerResult> {
  const failures: Record<string, string> = {};
  const taking: {
    process: EngineProcess;
    first: { firstMs: number; note?: string; results?: number[] };
    runs: number;
    turns: Turn[];
  }[] = [];
  for (const process of processes) {
    try {
      const first = await process.prepare(item);
      if (!first) continue;
      const turn = await process.run(1);
      const once = Math.max(turn.samples[0]!.wallMs, 0.05);
      const runs = Math.max(1, Math.min(20, Math.round(effort.turnMs / once)));
      taking.push({ process, first, runs, turns: [] });
    } catch (error) {
      failures[process.name] = (error as Error).message;
    }
  }
  for (let round = 0; round < effort.rounds; round++) {
    for (const entry of taking) entry.turns.push(await entry.process.run(entry.runs));
  }
  const reference = taking.find(({ process }) => process.name === OURS)?.first.results;
  return {
    item,
    failures,
    engines: Object.fromEntries(taking.map(({ process, first, turns }) => {
      const samples = turns.flatMap((turn) => turn.samples);
      const figures: PeerFigure = {
        wallMs: median(samples.map((s) => s.wallMs)),
        cpuMs: median(samples.map((s) => s.cpuMs)),
        firstMs: first.firstMs,
        runs: samples.length,
        calls: turns[0]!.calls,
        peakBytes: Math.max(...turns.map((turn) => turn.peakBytes)),
        ...(first.note ? { note: first.note } : {}),
        ...(agree(reference, first.results) ? {} : { wrong: true }),
      };
      return [process.name, figures];
    })),
  };
}

/** Compares engines on items and prints the tables. */
export async function peerSuite(
  commands: readonly EngineCommand[],
  items: readonly Item[],
  effort: PeerEffort,
  options: { software: boolean },
): Promise<PeerResult[]> {
  const processes = commands.map((command) => new EngineProcess(command));
  const results: PeerResult[] = [];
  try {
    for (const item of items) {
      const result = await compare(item, processes, effort);
      results.push(result);
      for (const [engine, message] of Object.entries(result.failures)) {
        console.error(`${engine} failed at ${itemName(item)}: ${message}`);
      }
    }
  } finally {
    await Promise.all(processes.map((process) => process.close()));
  }
  printComparison(results, commands.map(({ name }) => name), options);
  return results;
}

function printComparison(
  results: readonly PeerResult[],
  names: readonly string[],
  { software }: { software: boolean },
): void {
  const cost = (figures: PeerFigure) => software ? figures.cpuMs : figures.wallMs;
  const others = names.filter((name) => name !== OURS);
  const rows = results.map(({ item, engines, failures }): Cell[] => {
    const ours = engines[OURS];
    return [
      itemName(item),
      ours && cost(ours),
      ...others.map((name): Cell => {
        const figures = engines[name];
        if (name in failures) return "failed";
        if (!figures || !ours) return "–";
        if (figures.wrong) return "wrong result";
        return `${figure(cost(figures))} (${figure(cost(figures) / cost(ours))}x)`;
      }),
    ];
  });
  console.log(table(
    `${software ? "CPU" : "Wall-clock"} milliseconds, and how many times ours`,
    ["work", OURS, ...others],
    rows,
  ));
  const whole = results.filter(({ item }) => item.kind === "step" || item.kind === "generate");
  console.log(table(
    "Calls of WebGPU in one training step, and in generating",
    [
      "work",
      "engine",
      "dispatches",
      "passes",
      "submits",
      "bind groups",
      "buffers",
      "peak MB",
      "first ms",
    ],
    whole.flatMap(({ item, engines }) =>
      Object.entries(engines).map(([name, { calls, peakBytes, firstMs }]) => [
        itemName(item),
        name,
        calls.dispatches,
        calls.passes,
        calls.submits,
        calls.bindGroups,
        calls.buffers,
        peakBytes / 2 ** 20,
        firstMs,
      ])
    ),
  ));
  const notes = new Set(
    results.flatMap(({ item, engines }) =>
      Object.entries(engines).filter(([, { note }]) => note).map(([name, { note }]) =>
        `${name}, ${itemName(item)}: ${note}`
      )
    ),
  );
  if (notes.size > 0) console.log(`\n${[...notes].join("\n")}`);
}
