/**
 * Which numbers a device computes, told by the bits of a few kernels.
 *
 * Adapters, drivers and their versions round sums and functions differently, and a description need
 * not change with them. Where two fingerprints are equal, the same command is expected to give the
 * same bytes; where they differ it cannot.
 *
 * @module
 */

import { host } from "../host/host.ts";
import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { Readback } from "../gpu/readback.ts";
import { submit } from "../gpu/submit.ts";
import { Dim, type Tensor } from "../gpu/tensor.ts";
import { logProb } from "../ops/log_prob.ts";
import { linear } from "../ops/matmul/linear.ts";
import { rmsNorm } from "../ops/rms_norm.ts";
import { threefry2x32 } from "../random/random.ts";

/**
 * Rows, which are no multiple of a workgroup's, and numbers of a row: sizes that take kernels which training needs as well,
 * so that none is compiled for this alone.
 */
const [ROWS, WIDTH, COLUMNS] = [61, 72, 96];

const known = new WeakMap<Gpu, Promise<string>>();

/**
 * The fingerprint of a device's numbers: sums, products, square roots, exponentials and logarithms.
 *
 * @param gpu The device; it is asked once. Its tuned kernels play no part.
 * @returns 16 hexadecimal digits.
 */
export function numbersOf(gpu: Gpu): Promise<string> {
  let numbers = known.get(gpu);
  if (numbers === undefined) known.set(gpu, numbers = measure(gpu));
  return numbers;
}

async function measure(gpu: Gpu): Promise<string> {
  const { plan, inputs, outputs } = record(gpu);
  const readback = new Readback(gpu, outputs);
  try {
    await plan.compile();
    for (const [n, tensor] of inputs.entries()) gpu.write(tensor, fixedNumbers(tensor.length, n));
    submit(gpu, [plan], readback);
    const arrays = await readback.take();
    gpu.check();
    // Subgroups of another size run other kernels.
    const hash = host.sha256().update(String(gpu.adapter.subgroupSize));
    for (const { buffer, byteOffset, byteLength } of arrays) {
      hash.update(new Uint8Array(buffer, byteOffset, byteLength));
    }
    return hash.digest("hex").slice(0, 16);
  } finally {
    readback.destroy();
    plan.destroy();
  }
}

/** The kernels whose bits are taken, all on the same few rows. */
function record(gpu: Gpu): { plan: Plan; inputs: Tensor[]; outputs: Tensor[] } {
  const { kernels } = gpu;
  // What is tuned is recorded by itself.
  gpu.kernels = {};
  try {
    const plan = new Plan(gpu, "numbers");
    const x = plan.input([ROWS, WIDTH], "x");
    const norm = plan.input([WIDTH], "norm");
    const weight = plan.input([COLUMNS, WIDTH], "weight");
    const { normed } = rmsNorm(plan, x, norm, { eps: 1e-6 });
    const logits = linear(plan, normed, weight);
    const each = Array.from({ length: ROWS + 1 }, (_, row) => row);
    const { logProbs, entropies } = logProb(plan, logits, {
      rowOffsets: plan.constant(each, "row_offsets"),
      rowItems: plan.constant(each.slice(0, ROWS), "row_items"),
      itemTargets: plan.constant(each.slice(0, ROWS), "item_targets"),
      items: new Dim("items", ROWS),
    }, { temperature: 1 });
    const outputs = [normed, logits, logProbs, entropies].map((tensor) => plan.keep(tensor));
    return { plan, inputs: [x, norm, weight], outputs };
  } finally {
    gpu.kernels = kernels;
  }
}

/** Numbers from -2 to 2, the same wherever this runs. */
function fixedNumbers(length: number, stream: number): Float32Array {
  return Float32Array.from(
    { length },
    (_, i) => 4 * (threefry2x32(stream, 0, i, 0)[0] / 2 ** 32 - 0.5),
  );
}
