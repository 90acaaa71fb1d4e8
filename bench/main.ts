/**
 * `deno task bench`: kernels, training steps and rollouts on this machine, as tables and as JSON.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { withGpu } from "../src/cli/gpu.ts";
import type { Gpu } from "../src/gpu/device.ts";
import { type Effort, FULL, QUICK } from "./harness/measure.ts";
import { machine, resultsPath, writeResults } from "./harness/report.ts";
import { dtypeSuite } from "./suites/dtypes.ts";
import { kernelSuite } from "./suites/kernels.ts";
import { memorySuite } from "./suites/memory.ts";
import { engines, peerItems, peerSuite, quickPeerItems } from "./suites/peers.ts";
import { rlvrSuite } from "./suites/rlvr.ts";
import { profileSuite } from "./suites/profile.ts";
import { realSuite } from "./suites/real.ts";
import { stepSuite } from "./suites/steps.ts";
import { checkTargets, type Measured, printTargets } from "./suites/targets.ts";
import { trlSuite } from "./suites/trl.ts";
import { LARGE_SWEEP, QUICK_SWEEP, SWEEP, sweepSuite } from "./suites/sweep.ts";
import {
  COUNTDOWN_ROLLOUT,
  COUNTDOWN_STEP,
  LARGE,
  LARGE_RLVR,
  LONG_ROLLOUT,
  PARITY_ROLLOUT,
  PARITY_STEP,
  quickWorkload,
  type RolloutWorkload,
  SMALL_RLVR,
  SMOLLM2_WORK,
  TINY_GPT_STEP,
  WIDE_ROLLOUT,
} from "./cases/workloads.ts";

const HELP = `Measures deltal on this machine.

Usage: deno task bench [suites] [options]

Suites (without any: --kernels --steps)
  --kernels   every kernel, beside the adapter's own copy and best matrix product
  --steps     training steps and rollouts: tokens/s, dispatches, submits, bytes, memory
  --peers     the same work by jax-js, tfjs, onnxruntime-web and PyTorch, in turns (npm packages are fetched)
  --dtypes    training steps and rollouts stored in f32 and in f16, in turns
  --memory    memory planned at the shapes of published models, and what saving it costs in time
  --sweep     cost as length, batch, width, depth, vocabulary and unequal lengths grow, beside the arithmetic
  --real      an update and a generation at SmolLM2-135M's shape, in f32 and in f16, beside transformers
              where Python has it ($PYTHON, else python3); takes 6 GB
  --profile   time per kernel path of one training step and one rollout
  --rlvr      a whole RLVR step beside eager and compiled PyTorch, where Python has it
  --trl       whole RLVR steps of parity by this and by TRL in turns, where Python has trl

Options
  --quick     tiny sizes and one repetition: only whether it runs
  --offline   --peers without npm packages
  --out FILE  where the JSON goes (default runs/bench/<time>-<suites>.json)
  --help      this text

On a software adapter figures are per second of CPU time, on a GPU per second.`;

/** In the order they run. */
const SUITES = [
  "kernels",
  "steps",
  "dtypes",
  "memory",
  "real",
  "profile",
  "sweep",
  "rlvr",
  "trl",
  "peers",
] as const;
type Suite = typeof SUITES[number];

/** Runs the suites that the arguments name. */
export async function main(args: readonly string[]): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      kernels: flag,
      steps: flag,
      dtypes: flag,
      memory: flag,
      real: flag,
      peers: flag,
      sweep: flag,
      profile: flag,
      rlvr: flag,
      trl: flag,
      quick: flag,
      offline: flag,
      out: { type: "string" },
      help: flag,
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const { quick, offline, out } = values;
  const chosen = SUITES.filter((name) => values[name]);
  const suites: readonly Suite[] = chosen.length > 0 ? chosen : ["kernels", "steps"];
  const path = out ?? resultsPath(suites.join("-"));
  const results: Record<string, unknown> = {};
  const software = await withGpu(async (gpu) => {
    results.machine = machine(gpu.adapter);
    console.log(`${gpu.adapter.description}, ${navigator.hardwareConcurrency} processors`);
    for (const suite of suites) {
      await ownSuite(gpu, suite, quick, results);
      await writeResults(path, results); // whatever happens next, these are kept
    }
    return gpu.adapter.isFallback;
  });
  if (suites.includes("peers")) {
    results.peers = await peerSuite(
      await engines({ npm: !offline }),
      quick ? quickPeerItems() : peerItems({ large: !software }),
      quick ? { rounds: 1, turnMs: 1 } : { rounds: 3, turnMs: 60 },
      { software },
    );
  }
  const targets = quick ? [] : checkTargets(results as Measured, software);
  printTargets(targets);
  await writeResults(path, { ...results, targets });
  console.log(`\n${path}`);
  return 0;
}

/** Runs a suite that needs no other engine, or starts it itself. */
async function ownSuite(
  gpu: Gpu,
  suite: Suite,
  quick: boolean,
  results: Record<string, unknown>,
): Promise<void> {
  const software = gpu.adapter.isFallback;
  const effort = quick ? QUICK : FULL;
  if (suite === "kernels") {
    const sizes = quick ? "quick" : software ? "software" : "gpu";
    results[suite] = await kernelSuite(gpu, sizes, effort);
  } else if (suite === "steps") {
    results[suite] = await steps(gpu, quick, effort);
  } else if (suite === "dtypes") {
    results[suite] = await dtypeSuite(gpu, dtypeWork(quick, software), quick ? 1 : 5);
  } else if (suite === "memory") {
    const work = quick ? quickWorkload().step : TINY_GPT_STEP;
    results[suite] = await memorySuite(gpu, work, quick ? 1 : 5);
  } else if (suite === "real") {
    results[suite] = await realSuite(gpu, quick ? quickWorkload() : SMOLLM2_WORK, {
      rounds: quick ? 1 : 3,
      beside: !quick,
    });
  } else if (suite === "profile") {
    const work = software ? { step: PARITY_STEP, rollout: PARITY_ROLLOUT } : LARGE.at(-1)!;
    results[suite] = await profileSuite(gpu, quick ? quickWorkload() : work);
  } else if (suite === "sweep") {
    const sizes = quick ? QUICK_SWEEP : software ? SWEEP : LARGE_SWEEP;
    results[suite] = await sweepSuite(gpu, sizes, quick ? QUICK : { ...FULL, samples: 3 });
  } else if (suite === "rlvr") {
    const work = quick ? [quickWorkload().rlvr] : software ? [SMALL_RLVR] : LARGE_RLVR;
    results[suite] = await rlvrSuite(gpu, work, { steps: quick ? 1 : 5, compile: !software });
  } else if (suite === "trl") {
    const work = quick
      ? { turns: 1, steps: 1, warmStart: 1 }
      : { turns: 2, steps: 5, warmStart: 300 };
    results[suite] = await trlSuite(gpu, work);
  }
}

function dtypeWork(quick: boolean, software: boolean) {
  const work = quick ? [quickWorkload()] : software ? [] : LARGE;
  return {
    steps: [...work.map(({ step }) => step), ...quick ? [] : [PARITY_STEP, TINY_GPT_STEP]],
    rollouts: [
      ...work.map(({ rollout }) => rollout),
      ...quick ? [] : [PARITY_ROLLOUT, LONG_ROLLOUT, WIDE_ROLLOUT],
    ],
  };
}

async function steps(gpu: Gpu, quick: boolean, effort: Effort) {
  if (quick) {
    const { step, rollout } = quickWorkload();
    return await stepSuite(gpu, { steps: [step], rollouts: [rollout] }, effort);
  }
  const whole = (workload: RolloutWorkload): RolloutWorkload => ({
    ...workload,
    work: { ...workload.work, stepsPerSubmit: workload.work.maxCompletionLength },
  });
  const large = gpu.adapter.isFallback ? [] : LARGE;
  return await stepSuite(gpu, {
    steps: [TINY_GPT_STEP, PARITY_STEP, COUNTDOWN_STEP, ...large.map(({ step }) => step)],
    rollouts: [
      PARITY_ROLLOUT,
      COUNTDOWN_ROLLOUT,
      whole(COUNTDOWN_ROLLOUT),
      ...large.flatMap(({ rollout }) => [rollout, whole(rollout)]),
    ],
  }, effort);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
