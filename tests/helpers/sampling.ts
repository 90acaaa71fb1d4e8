/** Plans that sample tokens from given logits. */

import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { sample, type SampleOptions, type SampleState } from "../../src/ops/sample.ts";
import { progress } from "./side_by_side.ts";

/** The kernel's uniform of a random word. */
export function openUniform(word: number): number {
  const exact = word < 2 ** 24 ? word : (word & 0xffffff00) >>> 0;
  return Math.fround(exact + 0.5) / 2 ** 32;
}

/** What to draw from. */
export interface Setup {
  logits: ArrayLike<number>;
  vocabulary: number;
  /** Row of the logits of each active sequence. */
  rows: number[];
  /** Active sequences; the first ones by default. */
  slots?: number[];
  /** Room for tokens per sequence. */
  length?: number;
  eos?: number[];
  finished?: number[];
}

/** A plan that samples once per run, with its state. */
export async function record(gpu: Gpu, setup: Setup, options: Partial<SampleOptions> = {}) {
  const { logits, vocabulary, rows, length = 1, eos = [] } = setup;
  const slots = setup.slots ?? rows.map((_, a) => a);
  const sequences = Math.max(...slots) + 1;
  const u32 = (shape: number[], data: ArrayLike<number> = []) =>
    gpu.tensor(shape, { dtype: "u32", data });
  const state: SampleState = {
    tokens: u32([sequences, length]),
    logProbs: gpu.tensor([sequences, length]),
    entropySums: gpu.tensor([sequences]),
    ...progress(gpu, sequences, setup.finished),
  };
  const plan = new Plan(gpu, "test");
  const active = { rows: u32([rows.length], rows), slots: u32([rows.length], slots) };
  sample(
    plan,
    gpu.tensor([logits.length / vocabulary, vocabulary], { data: logits }),
    active,
    state,
    {
      temperature: 1,
      seed: 1,
      step: 0,
      limit: length,
      eosTokenIds: u32([Math.max(1, eos.length)], eos),
      eosCount: eos.length,
      ...options,
    },
  );
  await plan.compile();
  return { plan, state };
}

/** Runs it and returns the tokens [B, M] and their log-probabilities. */
export async function draw(gpu: Gpu, setup: Setup, options: Partial<SampleOptions> = {}) {
  const { plan, state } = await record(gpu, setup, options);
  submit(gpu, [{ plan, times: setup.length ?? 1 }]);
  return {
    tokens: Array.from(await readTensor(gpu, state.tokens)),
    logProbs: Array.from(await readTensor(gpu, state.logProbs)),
    entropySums: Array.from(await readTensor(gpu, state.entropySums)),
    lengths: Array.from(await readTensor(gpu, state.lengths)),
    finished: Array.from(await readTensor(gpu, state.finished)),
    lastTokens: Array.from(await readTensor(gpu, state.lastTokens)),
  };
}
