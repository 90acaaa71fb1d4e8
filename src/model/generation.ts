/**
 * One request for completions, from beginning to end.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { submit } from "../gpu/submit.ts";
import type { Generator } from "./generate.ts";
import type { Generation, GenerationRequest } from "./generate_request.ts";

/** Runs a request and reads its log-probabilities too. */
export async function generation(
  gpu: Gpu,
  generator: Generator,
  request: GenerationRequest,
): Promise<Generation> {
  const { completions, truncated } = await generator.run(request);
  const readback = new Readback(gpu, [generator.logProbs]);
  submit(gpu, [], readback);
  const [all] = await readback.take();
  readback.destroy();
  const stride = generator.capacity.completionLength;
  const logProbs = completions.map(({ length }, b) =>
    (all as Float32Array<ArrayBuffer>).slice(b * stride, b * stride + length)
  );
  return { completions, logProbs, truncated };
}
