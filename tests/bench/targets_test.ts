import { assertEquals } from "@std/assert";
import type { PeerFigure, PeerResult } from "../../bench/suites/peers.ts";
import { checkTargets, type Measured } from "../../bench/suites/targets.ts";

const calls = { dispatches: 0, passes: 0, submits: 0, bindGroups: 0, buffers: 0, bytesToGpu: 0 };
const took = (cpuMs: number, more: Partial<PeerFigure> = {}): PeerFigure => ({
  wallMs: 10 * cpuMs,
  cpuMs,
  firstMs: 0,
  runs: 1,
  calls,
  peakBytes: 0,
  ...more,
});
const result = (item: PeerResult["item"], engines: PeerResult["engines"]): PeerResult => ({
  item,
  engines,
  failures: {},
});
const matmul = (n: number) => ({ kind: "matmul", layout: "nn", m: n, k: n, n }) as const;

function outcome(results: Measured, software = true): [string, boolean][] {
  return checkTargets(results, software).map(({ measured, met }) => [measured, met]);
}

Deno.test("ratios are against the better peer, and the worst shape counts", () => {
  const peers = [
    result(matmul(256), { deltal: took(1), "jax-js": took(5), tfjs: took(4) }),
    result(matmul(512), { deltal: took(2), "jax-js": took(20), tfjs: took(30) }),
  ];
  assertEquals(outcome({ peers }), [["4.00x at worst, 7.00x in the middle of 2 shapes", true]]);
});

Deno.test("a peer with wrong results is not a peer", () => {
  const engines = { deltal: took(10), "jax-js": took(1, { wrong: true }), tfjs: took(50) };
  assertEquals(outcome({ peers: [result({ kind: "sum", n: 2 ** 24 }, engines)] }), [
    ["5.00x", false],
  ]);
  assertEquals(outcome({ peers: [result(matmul(4), { deltal: took(1) })] }), []);
});

Deno.test("on a GPU wall-clock time counts, and cuBLAS is the measure of a large product", () => {
  const engines = { deltal: took(2), "torch CUDA": took(1.3) };
  assertEquals(outcome({ peers: [result(matmul(4096), engines)] }, false), [["0.650x", true]]);
});

Deno.test("a step is judged by its calls, a rollout by what shrinking saves", () => {
  const work = (name: string, wallMs: number, dispatches = 0) => ({
    name,
    timing: { wallMs, cpuMs: wallMs, minWallMs: wallMs, samples: 1, repetitions: 1 },
    tokens: 1,
    tokensPerSecond: 1,
    gflops: 1,
    calls: {
      dispatches,
      submits: 1,
      bindGroups: 0,
      buffersCreated: 0,
      bytesToGpu: 0,
      bytesFromGpu: 0,
    },
    peakBytes: 0,
    hostMs: 0,
    firstMs: 0,
  });
  const steps = [work("step, tiny GPT", 9, 101), work("a", 2), work("a, not shrinking", 3)];
  assertEquals(outcome({ steps }), [["101 / 1 / 0", false], ["1.50x (CPU time 1.50x)", true]]);
  steps[0]!.calls.dispatches = 100;
  assertEquals(outcome({ steps })[0]![1], true);
});

Deno.test("a whole step is compared per token with the same policy's", () => {
  const figure = (engine: string, policy: string, generateMs: number, tokens: number) => ({
    engine,
    policy,
    generateMs,
    updateMs: 10,
    tokens,
    parameters: 1,
    firstMs: 0,
    peakBytes: 0,
  });
  const rlvr = [
    figure("deltal", "1 M", 40, 100),
    figure("deltal", "10 M", 90, 100),
    figure("torch 2, eager, GPU", "1 M", 170, 200),
    figure("torch 2, torch.compile, GPU", "10 M", 190, 100),
  ];
  assertEquals(outcome({ rlvr }, false), [["1.80x", false], ["2.00x", true]]);
  assertEquals(outcome({ rlvr }, true), []);
});

Deno.test("of all sweeps the one whose time outgrows its arithmetic the most counts", () => {
  const sweep = (name: string, timeExponent: number, arithmeticExponent: number) => ({
    name,
    points: [],
    timeExponent,
    arithmeticExponent,
    memoryExponent: 1,
  });
  const skewed = { step: 1.2, rollout: 1 };
  const square = sweep("length", 2, 1.95);
  assertEquals(outcome({ sweep: { sweeps: [sweep("width", 1.5, 2), square], skewed } }), [
    ["1.20x", false],
    ["0.05 (length)", true],
  ]);
  assertEquals(outcome({ sweep: { sweeps: [square, sweep("layers", 1.3, 1)], skewed } }), [
    ["1.20x", false],
    ["0.30 (layers)", false],
  ]);
});
