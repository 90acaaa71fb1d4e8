/**
 * A language model's size: update and generation at SmolLM2-135M's shape, stored in f32 and in f16, beside transformers on
 * PyTorch where Python has them.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import type { RolloutWorkload, StepWorkload } from "../cases/workloads.ts";
import { figure } from "../harness/table.ts";
import { type DTypeResult, dtypeSuite } from "./dtypes.ts";

/** What transformers took, medians of CPU milliseconds. */
export interface TransformersFigures {
  /** Versions of both packages. */
  readonly version: string;
  /** Forward, backward, clip and AdamW. */
  readonly updateMs: number;
  /** Tokens that went through it: every response with a prompt of its own. */
  readonly updateTokens: number;
  /** Generation of all responses. */
  readonly generateMs: number;
}

/**
 * Times an update and a rollout in both dtypes in turns, then the same by transformers, and prints both.
 *
 * @param how How often each takes its turn after a first time, and whether transformers does.
 */
export async function realSuite(
  gpu: Gpu,
  { step, rollout }: { step: StepWorkload; rollout: RolloutWorkload },
  { rounds, beside }: { rounds: number; beside: boolean },
): Promise<{ ours: DTypeResult[]; transformers: TransformersFigures | undefined }> {
  const ours = await dtypeSuite(gpu, { steps: [step], rollouts: [rollout] }, rounds);
  if (!beside) return { ours, transformers: undefined };
  const transformers = await runTransformers({ step, rollout }, rounds);
  if (typeof transformers === "string") {
    console.log(`\ntransformers: ${transformers}`);
    return { ours, transformers: undefined };
  }
  const [update, generation] = ours.map(({ stored }) => stored.f32.cpuMs) as [number, number];
  const { version, updateMs, updateTokens, generateMs } = transformers;
  console.log(
    `\ntransformers ${version}, one thread, CPU ms: update ${
      figure(updateMs)
    } over ${updateTokens} ` +
      `tokens (ours in f32: ${figure(update / updateMs)} of that), generation ${
        figure(generateMs)
      } (${figure(generation / generateMs)})`,
  );
  return { ours, transformers };
}

/** The same by bench/peers/real_size.py, or why not. */
async function runTransformers(
  { step, rollout }: { step: StepWorkload; rollout: RolloutWorkload },
  rounds: number,
): Promise<TransformersFigures | string> {
  const { promptLength, lengths } = step.batch;
  const description = {
    ...step.policy.config,
    promptLength,
    responses: lengths.length,
    responseLength: Math.max(...lengths),
    newTokens: rollout.work.maxCompletionLength,
    rounds,
  };
  try {
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.env.get("PYTHON") ?? "python3",
      {
        args: [
          new URL("../peers/real_size.py", import.meta.url).pathname,
          JSON.stringify(description),
        ],
      },
    ).output();
    const last = new TextDecoder().decode(success ? stdout : stderr).trim().split("\n").at(-1)!;
    return success ? JSON.parse(last) : last;
  } catch (error) {
    return (error as Error).message;
  }
}
