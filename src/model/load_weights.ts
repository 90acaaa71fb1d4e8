/**
 * Bringing a checkpoint's weights to the device.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { submit } from "../gpu/submit.ts";
import type { Checkpoint } from "./hf_checkpoint.ts";
import type { Parameters } from "./parameters.ts";

/** Bytes written to the device before their copies are flushed. */
const FLUSH_BYTES = 2 ** 26;

/** Writes all weights of a checkpoint. */
export async function loadWeights(
  gpu: Gpu,
  parameters: Parameters,
  checkpoint: Checkpoint,
): Promise<void> {
  let pending = 0;
  for (const name of checkpoint.names) {
    const values = await checkpoint.readFloat32(name);
    parameters.write(name, values);
    // Writes keep a copy each until the next submit.
    pending += values.byteLength;
    if (pending < FLUSH_BYTES) continue;
    submit(gpu, []);
    await gpu.finish();
    pending = 0;
  }
}
