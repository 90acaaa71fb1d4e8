/**
 * What the measured figures say about the targets this engine was built to.
 *
 * @module
 */

import { median } from "../harness/measure.ts";
import { figure, table } from "../harness/table.ts";
import type { KernelResult } from "./kernels.ts";
import { OURS, type PeerFigure, type PeerResult } from "./peers.ts";
import type { RlvrFigure } from "./rlvr.ts";
import type { WorkResult } from "./steps.ts";
import type { Sweep } from "./sweep.ts";

/** Results of the suites that ran. */
export interface Measured {
  /** Of `--kernels`. */
  kernels?: { kernels: readonly KernelResult[] };
  /** Of `--steps`. */
  steps?: readonly WorkResult[];
  /** Of `--peers`. */
  peers?: readonly PeerResult[];
  /** Of `--sweep`. */
  sweep?: { sweeps: readonly Sweep[]; skewed: { step: number; rollout: number } };
  /** Of `--rlvr`. */
  rlvr?: readonly RlvrFigure[];
}

/** One target beside what was measured. */
export interface Target {
  /** What is compared. */
  readonly what: string;
  /** What was aimed at. */
  readonly target: string;
  /** What came out. */
  readonly measured: string;
  /** Whether it is met. */
  readonly met: boolean;
}

/** Checks every target that the results say something about. */
export function checkTargets(results: Measured, software: boolean): Target[] {
  return [
    ...peerTargets(results.peers ?? [], software),
    ...stepTargets(results.steps ?? []),
    ...(results.sweep ? sweepTargets(results.sweep) : []),
    ...(software ? [] : bandwidthTargets(results.kernels?.kernels ?? [])),
    ...(software ? [] : rlvrTargets(results.rlvr ?? [])),
  ];
}

/** Prints the targets. */
export function printTargets(targets: readonly Target[]): void {
  if (targets.length === 0) return;
  console.log(table(
    "Targets",
    ["what", "target", "measured", ""],
    targets.map((
      { what, target, measured, met },
    ) => [what, target, measured, met ? "met" : "missed"]),
  ));
}

const times = (ratio: number) => `${figure(ratio)}x`;

function peerTargets(results: readonly PeerResult[], software: boolean): Target[] {
  const cost = (f: PeerFigure) => software ? f.cpuMs : f.wallMs;
  /** How many times faster than the best of some engines. */
  const ratio = ({ engines }: PeerResult, names: readonly string[]): number | undefined => {
    const ours = engines[OURS];
    const theirs = names.flatMap((name) => {
      const figures = engines[name];
      return figures && !figures.wrong ? [cost(figures)] : [];
    });
    return ours && theirs.length > 0 ? Math.min(...theirs) / cost(ours) : undefined;
  };
  const ofKind = (kind: string) => results.filter(({ item }) => item.kind === kind);
  const targets: Target[] = [];
  const add = (what: string, atLeast: number, value: number | undefined, note = "") => {
    if (value === undefined || !Number.isFinite(value)) return;
    const measured = times(value) + note;
    targets.push({ what, target: `>= ${atLeast}x`, measured, met: value >= atLeast });
  };
  const webgpu = ["jax-js", "tfjs"];
  for (const result of ofKind("step")) {
    add("training step of a tiny GPT, against jax-js", 6, ratio(result, ["jax-js"]));
  }
  const products = ofKind("matmul").map((r) => ratio(r, webgpu)).filter((r) => r !== undefined);
  if (products.length > 0) {
    const worst = Math.min(...products);
    const note = ` at worst, ${times(median(products))} in the middle of ${products.length} shapes`;
    add("matrix products, against the better of jax-js and tfjs", 3, worst, note);
  }
  for (const result of ofKind("softmax")) {
    add("softmax, against the better of both", 5, ratio(result, webgpu));
  }
  for (const result of ofKind("sum")) add("sum of 16 M, likewise", 8, ratio(result, webgpu));
  for (const result of ofKind("generate")) {
    add("generation with a cache, against jax-js without", 1, ratio(result, ["jax-js"]));
  }
  const large = ofKind("matmul").find(({ item }) => item.kind === "matmul" && item.m === 4096);
  if (large) add("matrix product of 4096, against cuBLAS", 0.6, ratio(large, ["torch CUDA"]));
  return targets;
}

function stepTargets(results: readonly WorkResult[]): Target[] {
  const targets: Target[] = [];
  const tiny = results.find(({ name }) => name.includes("tiny GPT"));
  if (tiny) {
    const { dispatches, submits, buffersCreated } = tiny.calls;
    targets.push({
      what: "dispatches / submits / buffers of a training step of 4 layers",
      target: "<= 100 / 1 / 0",
      measured: `${dispatches} / ${submits} / ${buffersCreated}`,
      met: dispatches <= 100 && submits === 1 && buffersCreated === 0,
    });
  }
  for (const whole of results.filter(({ name }) => name.endsWith("not shrinking"))) {
    const shrinking = results.find(({ name }) => `${name}, not shrinking` === whole.name);
    if (!shrinking) continue;
    const ratio = whole.timing.wallMs / shrinking.timing.wallMs;
    const cpu = whole.timing.cpuMs / shrinking.timing.cpuMs;
    targets.push({
      what: `${shrinking.name}: against not shrinking`,
      target: ">= 1.5x",
      measured: `${times(ratio)} (CPU time ${times(cpu)})`,
      met: ratio >= 1.5,
    });
  }
  return targets;
}

/** A fitted exponent wanders by this much from run to run. */
const EXPONENT_NOISE = 0.1;

function sweepTargets({ sweeps, skewed: { step } }: NonNullable<Measured["sweep"]>): Target[] {
  const faster = sweeps.map(({ name, timeExponent, arithmeticExponent }) => ({
    name,
    by: timeExponent - arithmeticExponent,
  })).toSorted((a, b) => b.by - a.by)[0];
  return [
    {
      what: "time per useful token, longest 8 times the mean, against equal lengths",
      target: "<= 1.15x",
      measured: times(step),
      met: step <= 1.15,
    },
    ...(faster === undefined ? [] : [{
      what: "time ~ x^a, operations ~ x^b: the largest a - b of all sweeps",
      target: `<= ${EXPONENT_NOISE}`,
      measured: `${faster.by.toFixed(2)} (${faster.name})`,
      met: faster.by <= EXPONENT_NOISE,
    }]),
  ];
}

/** Kernels that memory limits, at the large sizes only: small ones fit into caches. */
function bandwidthTargets(kernels: readonly KernelResult[]): Target[] {
  return kernels
    .filter(({ name, bytes }) => /^(sum|softmax|rms_norm|grad_norm|add)/.test(name) && bytes > 1e8)
    .map(({ name, shape, share }) => ({
      what: `${name} ${shape}, against a copy's bandwidth`,
      target: ">= 0.85",
      measured: figure(share),
      met: share >= 0.85,
    }));
}

function rlvrTargets(results: readonly RlvrFigure[]): Target[] {
  const perToken = (f: RlvrFigure) => (f.generateMs + f.updateMs) / f.tokens;
  return results.filter(({ engine }) => engine.startsWith("torch")).flatMap((torch): Target[] => {
    const ours = results.find(({ engine, policy }) => engine === OURS && policy === torch.policy);
    if (!ours) return [];
    const ratio = perToken(torch) / perToken(ours);
    const least = torch.engine.includes("eager") ? 2 : 1;
    return [{
      what: `RLVR step, ${ours.policy}, against ${torch.engine}`,
      target: `>= ${least}x`,
      measured: times(ratio),
      met: ratio >= least,
    }];
  });
}
