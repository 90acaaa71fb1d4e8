/** Whether what is not finite goes through an operation. */

import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import type { HostArray } from "../../src/gpu/host_array.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { submit } from "../../src/gpu/submit.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { matmul } from "../reference/matmul.ts";
import type { OpCase, OpInput } from "./gpu.ts";
import { randomArray } from "./random.ts";

/** An operation, and where it may differ from the rule. */
export interface NonFiniteCase extends Omit<OpCase, "reference"> {
  /** Outputs in float64; without it only what depends on a number is known. */
  readonly reference?: OpCase["reference"];
  /** Float inputs that are left alone. */
  readonly untouched?: readonly string[];
  /** Whether an infinity may leave all gradients finite although an output is not. Default false. */
  readonly finiteSlopes?: boolean;
  /** Whether what does not depend on a number is multiplied by zero, which NaN survives. Default false. */
  readonly spreads?: boolean;
  /** Outputs that a run adds to. */
  readonly accumulates?: readonly string[];
}

/** `x · weightᵀ + bias` for x (M, K) and weight (N, K), with its gradients. */
export function linearCase(
  { m, n, k, dtype }: { m: number; n: number; k: number; dtype: "f32" | "f16" },
): NonFiniteCase {
  return {
    inputs: {
      x: { shape: [m, k], data: randomArray(1, m * k) },
      weight: { shape: [n, k], data: randomArray(2, n * k), dtype, parameter: true },
      bias: { shape: [n], data: randomArray(3, n), parameter: true },
    },
    build: (plan, { x, weight, bias }) => ({ y: linear(plan, x!, weight!, { bias: bias! }) }),
    reference: ({ x, weight, bias }) => ({
      y: matmul(x!, weight!, { m, n, k, transB: true, bias: bias! }),
    }),
    outputGradients: { y: randomArray(99, m * n) },
  };
}

type Values = Record<string, ArrayLike<number>>;
type Numbers = Record<string, number[]>;

const isFloat = ({ dtype = "f32" }: OpInput) => dtype !== "u32" && dtype !== "i32";

/** Numbers that differ from x. */
const OTHERS: readonly ((x: number) => number)[] = [(x) => x + 0.75, (x) => -3 * x - 0.5];

/** The operation recorded once: a run takes all numbers and gives all outputs and gradients. */
async function recorded(gpu: Gpu, op: NonFiniteCase, labels: Set<string>) {
  const seeds = op.outputGradients ?? {};
  const plan = new Plan(gpu, "test", { gradients: op.outputGradients !== undefined });
  const tensors: Record<string, Tensor> = {};
  const sums: Tensor[] = [];
  for (const [name, input] of Object.entries(op.inputs)) {
    const { shape, data, dtype = "f32", parameter } = input;
    const tensor = tensors[name] = gpu.tensor(shape, { data, dtype, name });
    if (parameter) sums.push(tensor.grad = gpu.tensor(shape, { name: `${name}.grad` }));
    else if (isFloat(input) && !op.withoutGradient?.includes(name)) plan.requireGradient(tensor);
  }
  const read: Record<string, Tensor> = {};
  const outputs = op.build(plan, tensors);
  for (const [name, tensor] of Object.entries(outputs)) {
    read[name] = tensor.isAllocated ? tensor : plan.keep(tensor);
  }
  for (const name of op.accumulates ?? []) sums.push(outputs[name]!);
  const written: Record<string, Tensor> = {};
  for (const name of Object.keys(op.inputs)) written[name] = tensors[name]!;
  for (const [name, data] of Object.entries(seeds)) {
    const seed = written[`${name}.seed`] = gpu.tensor([outputs[name]!.capacity], { data });
    plan.shareGradient(outputs[name]!, seed);
  }
  if (op.outputGradients) plan.backward();
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!op.outputGradients || !plan.isDifferentiable(tensor)) continue;
    const gradient = plan.gradientOf(tensor);
    if (gradient) read[`${name}.grad`] = gradient.isAllocated ? gradient : plan.keep(gradient);
  }
  await plan.compile();
  for (const { kernel } of plan) labels.add(kernel.label);
  const readback = new Readback(gpu, Object.values(read));
  return {
    destroy() {
      readback.destroy();
      plan.destroy();
    },
    async run(values: Values) {
      for (const [name, data] of Object.entries(values)) {
        const tensor = written[name]!;
        if (tensor.dtype !== "f16") {
          gpu.write(tensor, data);
        } else { // the host itself refuses to store infinities in 16 bits
          const { buffer, offset } = tensor.storage;
          // The buffer: Dawn (npm webgpu 0.6.2) does not know arrays of this type.
          gpu.device.queue.writeBuffer(buffer, offset, Float16Array.from(data).buffer);
        }
      }
      for (const sum of sums) gpu.write(sum, new Float32Array(sum.capacity));
      submit(gpu, [plan], readback);
      const arrays: HostArray[] = await readback.take();
      gpu.check();
      const found: Numbers = {};
      for (const [i, name] of Object.keys(read).entries()) found[name] = Array.from(arrays[i]!);
      return found;
    },
  };
}

/** Elements of an input to spoil: one in the middle, the last, and a whole row. */
function places({ shape, data }: OpInput): number[][] {
  const n = data.length;
  const width = shape.at(-1)!;
  const first = width * Math.floor(n / width / 2);
  const row = Array.from({ length: width }, (_, i) => first + i);
  return [[Math.floor(n / 2)], [n - 1], ...shape.length > 1 && width > 1 ? [row] : []];
}

/**
 * Puts NaN and infinities in the place of every float input and every gradient from above, one number at a time and whole
 * rows.
 *
 * What depends on a number, as changing it shows, is not finite where that is NaN, and what does not keeps its bits. Which
 * outputs are finite beside infinities is decided by float64; gradients are where all outputs are.
 *
 * @param labels Gets the labels of the kernels that ran.
 */
export async function checkNonFinite(
  gpu: Gpu,
  label: string,
  op: NonFiniteCase,
  labels: Set<string>,
): Promise<void> {
  const { run, destroy } = await recorded(gpu, op, labels);
  const clean: Values = {};
  const spoilt: [name: string, input: OpInput][] = [];
  for (const [name, input] of Object.entries(op.inputs)) {
    clean[name] = Array.from(input.data);
    if (isFloat(input) && !op.untouched?.includes(name)) spoilt.push([name, input]);
  }
  for (const [name, data] of Object.entries(op.outputGradients ?? {})) {
    clean[`${name}.seed`] = Array.from(data);
    spoilt.push([`${name}.seed`, { shape: [data.length], data }]);
  }
  const base = await run(clean);
  for (const [name, values] of Object.entries(base)) {
    assert(values.every(Number.isFinite), `${label}: ${name} is not finite to begin with`);
  }
  const wrong: string[] = [];
  for (const [name, input] of spoilt) {
    const isSeed = name.endsWith(".seed");
    for (const place of places(input)) {
      const put = (f: (x: number) => number): Values => ({
        ...clean,
        [name]: Array.from(clean[name]!, (x, i) => place.includes(i) ? f(x) : x),
      });
      const others: Numbers[] = [];
      for (const other of OTHERS) others.push(await run(put(other)));
      for (const bad of [NaN, Infinity, -Infinity]) {
        const values = put(() => bad);
        const found = await run(values);
        const truth = isSeed ? undefined : float64(op, values);
        const outputsAreFinite = truth &&
          Object.values(truth).every((y) => y.every(Number.isFinite));
        const slopes: number[] = [];
        for (const [out, numbers] of Object.entries(found)) {
          const isGradient = out.endsWith(".grad");
          for (const [i, x] of numbers.entries()) {
            const before = base[out]![i]!;
            const depends = others.some((found) => !Object.is(found[out]![i], before));
            const wanted = isGradient ? undefined : truth?.[out]?.[i];
            if (isGradient && depends && !op.finiteSlopes) slopes.push(x);
            let finite: boolean | undefined;
            if (wanted !== undefined) finite = Number.isFinite(wanted);
            else if (!depends) finite = op.spreads ? undefined : true;
            else if (Number.isNaN(bad) || isGradient && isSeed) finite = false;
            else if (isGradient && outputsAreFinite) finite = true;
            const right = (finite === undefined || finite === Number.isFinite(x)) &&
              (depends || !finite || Object.is(x, before));
            if (!right) {
              wrong.push(
                `${place.length} of ${name} is ${bad}: ${out}[${i}] is ${x}, was ${before}, ${
                  wanted ?? (depends ? "depends on it" : "does not depend on it")
                }`,
              );
            }
          }
        }
        if (outputsAreFinite === false && slopes.length > 0 && slopes.every(Number.isFinite)) {
          wrong.push(`${place.length} of ${name} is ${bad}: all gradients are finite`);
        }
      }
    }
  }
  destroy();
  assertEquals(wrong, [], label);
}

/** Outputs in float64, from f16 inputs as they are rounded. */
function float64(op: NonFiniteCase, values: Values): Record<string, Float64Array> | undefined {
  const inputs: Record<string, Float64Array> = {};
  for (const [name, { dtype }] of Object.entries(op.inputs)) {
    const data = values[name]!;
    inputs[name] = Float64Array.from(dtype === "f16" ? Float16Array.from(data) : data);
  }
  return op.reference?.(inputs);
}
