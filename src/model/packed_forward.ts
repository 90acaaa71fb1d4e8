/**
 * The policy over given tokens, packed: their logits, or how likely they are.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { readTensor, submit } from "../gpu/submit.ts";
import { sizeLimit } from "../gpu/tensor.ts";
import { headLogits, vocabularyRanges } from "../ops/head.ts";
import { bindableTokens } from "./limits.ts";
import { PackedInputs } from "./packed_inputs.ts";
import { groupCost, type PromptGroup, splitGroups } from "./packing.ts";
import type { Parameters } from "./parameters.ts";
import { recordScoring } from "./scoring.ts";
import { encode } from "./transformer.ts";

/** Packed tokens of a pass, unless a single group has more. */
const MAX_TOKENS = 8192;

/** Bytes of logits of a pass whose logits are all wanted, unless a single group has more. */
const MAX_LOGIT_BYTES = 2 ** 28;

/**
 * Log-probabilities of the responses' tokens.
 *
 * @param groups Prompts and responses.
 * @param temperature Divides the logits.
 * @returns One number per token, in order.
 */
export async function packedScores(
  gpu: Gpu,
  parameters: Parameters,
  groups: readonly PromptGroup[],
  temperature: number,
): Promise<Float32Array<ArrayBuffer>> {
  const maxTokens = tokensPerPass(gpu, parameters, groups, MAX_TOKENS);
  const plan = new Plan(gpu, "score");
  const { inputs, scored } = recordScoring(plan, parameters, maxTokens, { temperature });
  const logProbs = plan.keep(scored.logProbs);
  try {
    await plan.compile();
    const parts: Float32Array[] = [];
    for (const batch of splitGroups(groups, maxTokens)) {
      inputs.upload(batch);
      submit(gpu, [plan]);
      parts.push(await readTensor(gpu, logProbs) as Float32Array);
    }
    return joined(parts);
  } finally {
    plan.destroy();
  }
}

/**
 * Logits of every packed token.
 *
 * @param groups Prompts, without responses.
 * @returns (T, V), row-major.
 */
export async function packedLogits(
  gpu: Gpu,
  parameters: Parameters,
  groups: readonly PromptGroup[],
): Promise<Float32Array<ArrayBuffer>> {
  const weight = parameters.head;
  const vocabulary = sizeLimit(weight.shape[0]!);
  const wanted = Math.min(MAX_TOKENS, Math.floor(MAX_LOGIT_BYTES / 4 / vocabulary));
  const maxTokens = tokensPerPass(gpu, parameters, groups, wanted);
  const plan = new Plan(gpu, "logits");
  const inputs = new PackedInputs(plan, maxTokens);
  const hidden = encode(plan, parameters, inputs);
  const ranges = vocabularyRanges(gpu, inputs.tokenCount, weight)
    .map((range) => headLogits(plan, hidden, weight, range));
  for (const { logits } of ranges) plan.keep(logits);
  try {
    await plan.compile();
    const parts: Float32Array[] = [];
    for (const batch of splitGroups(groups, maxTokens)) {
      inputs.upload(batch);
      submit(gpu, [plan]);
      const tokens = inputs.tokenCount.value;
      const all = new Float32Array(tokens * vocabulary);
      for (const { logits, first } of ranges) {
        const values = await readTensor(gpu, logits) as Float32Array;
        const width = sizeLimit(logits.shape[1]!);
        for (let t = 0; t < tokens; t++) {
          all.set(values.subarray(t * width, (t + 1) * width), t * vocabulary + first);
        }
      }
      parts.push(all);
    }
    return joined(parts);
  } finally {
    plan.destroy();
  }
}

/** How many packed tokens a pass is made for. */
function tokensPerPass(
  gpu: Gpu,
  { config }: Parameters,
  groups: readonly PromptGroup[],
  wanted: number,
): number {
  const costs = groups.map(groupCost);
  const longest = Math.max(...costs);
  const total = costs.reduce((n, cost) => n + cost, 0);
  const most = bindableTokens(gpu, config);
  if (longest > most) {
    throw new RangeError(
      `A sequence of ${longest} tokens has activations that ${gpu.adapter.description} cannot bind: at most ${most} ` +
        "tokens, with this policy",
    );
  }
  return Math.min(total, most, Math.max(wanted, longest));
}

function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
