/**
 * Asking a policy about given tokens: what it would say next, and how likely what was said is.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { packedLogits, packedScores } from "./packed_forward.ts";
import type { Parameters } from "./parameters.ts";
import { checkPositions, checkTokenIds, checkWritten } from "./token_ids.ts";

/**
 * Logits of every position of sequences of one length.
 *
 * @param tokens B sequences of S ids.
 * @returns (B, S, V), row-major.
 * @throws {RangeError} If the lengths differ, an id is out of vocabulary, or there are more ids than positions.
 */
export async function sequenceLogits(
  gpu: Gpu,
  parameters: Parameters,
  tokens: readonly (readonly number[])[],
): Promise<Float32Array<ArrayBuffer>> {
  const length = tokens[0]?.length ?? 0;
  for (const [b, sequence] of tokens.entries()) {
    checkTokenIds(sequence, parameters.config.vocabSize, `tokens[${b}]`);
    checkPositions(parameters.config, sequence.length, `tokens[${b}]`);
    if (sequence.length !== length) {
      throw new RangeError(
        `logits() needs sequences of one length: tokens[0] has ${length} ids, tokens[${b}] has ${sequence.length}`,
      );
    }
  }
  if (tokens.length === 0) return new Float32Array(0);
  return await packedLogits(gpu, parameters, tokens.map((prompt) => ({ prompt, responses: [] })));
}

/**
 * Log-probabilities of completions.
 *
 * @param prompts One prompt per completion.
 * @param completions Token ids to score.
 * @param temperature Divides the logits.
 * @returns One array per completion.
 * @throws {RangeError} If there is not a prompt for every completion, an id is out of vocabulary or never written, or
 * there are more ids than positions.
 */
export async function completionScores(
  gpu: Gpu,
  parameters: Parameters,
  prompts: readonly (readonly number[])[],
  completions: readonly (readonly number[])[],
  temperature: number,
): Promise<Float32Array[]> {
  if (prompts.length !== completions.length) {
    throw new RangeError(
      `score() needs a prompt per completion: got ${prompts.length} prompts and ${completions.length} completions`,
    );
  }
  const { vocabSize } = parameters.config;
  const groups = prompts.map((prompt, sequence) => {
    const tokens = completions[sequence]!;
    checkTokenIds(prompt, vocabSize, `prompts[${sequence}]`);
    checkTokenIds(tokens, vocabSize, `completions[${sequence}]`);
    checkWritten(parameters.config, tokens, `completions[${sequence}]`);
    checkPositions(
      parameters.config,
      prompt.length + tokens.length,
      `prompts[${sequence}] with its completion`,
    );
    return { prompt, responses: [{ sequence, tokens }] };
  });
  if (groups.length === 0) return [];
  const flat = await packedScores(gpu, parameters, groups, temperature);
  let at = 0;
  return completions.map(({ length }) => flat.slice(at, at += length));
}
