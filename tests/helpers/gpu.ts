/** Running ops on a real device in tests. */

import type { AdapterSummary } from "../../src/gpu/adapter.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import type { HostArray } from "../../src/gpu/host_array.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { submit } from "../../src/gpu/submit.ts";
import type { DType, Tensor } from "../../src/gpu/tensor.ts";
import { assertClose } from "./assert_close.ts";
import { finiteDifference } from "../reference/finite_difference.ts";
import { asHalves } from "./halves.ts";

/** Runs a test body on every path the kernels have: with subgroups where the device has them, and without. */
export async function onEveryDevice(
  t: Deno.TestContext,
  body: (gpu: Gpu, t: Deno.TestContext) => Promise<void>,
): Promise<void> {
  for (const withSubgroups of [true, false]) {
    const gpu = await sharedGpu({ withSubgroups });
    if (withSubgroups && gpu.adapter.subgroupSize === 0) continue;
    await t.step(withSubgroups ? "with subgroups" : "without subgroups", async (t) => {
      await body(gpu, t);
    });
    await gpu.finish();
  }
}

/** A device treated as another; `undefined` where that one has subgroups and this one has none. */
export async function openAs(treatAs: Partial<AdapterSummary>): Promise<Gpu | undefined> {
  const gpu = await openGpu({ treatAs });
  if (!treatAs.subgroupSize || gpu.device.features.has("subgroups" as GPUFeatureName)) return gpu;
  await gpu.close();
  return undefined;
}

/** The same device, as one that binds no more than so many bytes, and holds as many in a buffer if not said otherwise. */
export function withLimits(gpu: Gpu, bytes: number, maxBufferSize = bytes): Gpu {
  const limits = { maxStorageBufferBindingSize: bytes, maxBufferSize };
  const device = new Proxy(gpu.device, {
    get(target, key) {
      if (key === "limits") {
        return new Proxy(target.limits, {
          get: (all, name) => limits[name as keyof typeof limits] ?? Reflect.get(all, name),
        });
      }
      const value = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return new Proxy(gpu, {
    get(target, key) {
      if (key === "device") return device;
      const value = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const shared = new Map<boolean, Promise<Gpu>>();

/** A device that all tests of a file share and none closes, so that each kernel is compiled once. */
export function sharedGpu({ withSubgroups = true } = {}): Promise<Gpu> {
  let gpu = shared.get(withSubgroups);
  if (!gpu) {
    gpu = openGpu(withSubgroups ? {} : { treatAs: { subgroupSize: 0 } });
    shared.set(withSubgroups, gpu);
  }
  return gpu;
}

/** A value handed to an op under test. */
export interface OpInput {
  shape: readonly number[];
  data: ArrayLike<number>;
  dtype?: DType;
  /** A parameter accumulates its gradient; an activation has it written. Default false. */
  parameter?: boolean;
}

/** An op under test: inputs, how to record it, and how to compute it in float64. */
export interface OpCase {
  inputs: Record<string, OpInput>;
  /** Records the op and returns its outputs. */
  build: (plan: Plan, tensors: Record<string, Tensor>) => Record<string, Tensor>;
  /** The same outputs from float64 inputs. */
  reference: (inputs: Record<string, Float64Array>) => Record<string, Float64Array>;
  /** Outputs that get a random gradient, with its values; gradients of all f32 inputs are then checked. */
  outputGradients?: Record<string, ArrayLike<number>>;
  /** Inputs whose gradient is not defined or not wanted. */
  withoutGradient?: string[];
  /** Relative to the largest element. Default 1e-5. */
  tolerance?: number;
  /** Gradients, relative to the largest element. Default 2e-5. */
  gradientTolerance?: number;
  /** At most this many coordinates per input are differentiated numerically. Default 40. */
  coordinates?: number;
}

/** What a GPU run of an op gave. */
export interface OpResult {
  outputs: Record<string, HostArray>;
  gradients: Record<string, HostArray>;
}

/** Runs an op, and its gradient when output gradients are given. */
export async function runOp(gpu: Gpu, op: OpCase): Promise<OpResult> {
  const plan = new Plan(gpu, "test", { gradients: op.outputGradients !== undefined });
  const tensors: Record<string, Tensor> = {};
  for (const [name, { shape, data, dtype = "f32", parameter }] of Object.entries(op.inputs)) {
    const tensor = gpu.tensor(shape, { data, dtype, name });
    const isFloat = ["f32", "f16", "bf16"].includes(dtype);
    if (parameter) tensor.grad = gpu.tensor(shape, { name: `${name}.grad` });
    else if (isFloat && !op.withoutGradient?.includes(name)) plan.requireGradient(tensor);
    tensors[name] = tensor;
  }
  const outputs = op.build(plan, tensors);
  for (const output of Object.values(outputs)) plan.keep(output);
  for (const [name, data] of Object.entries(op.outputGradients ?? {})) {
    const output = outputs[name]!;
    const seed = gpu.tensor([output.capacity], { data, name: `${name}.seed` });
    plan.shareGradient(output, seed);
  }
  if (op.outputGradients) plan.backward();
  const gradients: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const gradient = op.outputGradients && plan.isDifferentiable(tensor)
      ? plan.gradientOf(tensor)
      : undefined;
    if (gradient) gradients[name] = gradient.isAllocated ? gradient : plan.keep(gradient);
  }
  for (const { kernel, label, turns } of plan) {
    if (kernel.loops && turns === undefined) {
      throw new Error(`${label} has loops: state their turns`);
    }
  }
  await plan.compile();
  const readback = new Readback(gpu, [...Object.values(outputs), ...Object.values(gradients)]);
  submit(gpu, [plan], readback);
  const values: HostArray[] = await readback.take();
  gpu.check();
  const named = (tensors: Record<string, Tensor>, first: number) =>
    Object.fromEntries(Object.keys(tensors).map((name, i) => [name, values[first + i]!]));
  readback.destroy();
  plan.destroy();
  return {
    outputs: named(outputs, 0),
    gradients: named(gradients, Object.keys(outputs).length),
  };
}

/** Checks an op's outputs against float64, fed with inputs of 16 bits as they are rounded, and every gradient against central differences of the float64 version. */
export async function checkOp(gpu: Gpu, label: string, op: OpCase): Promise<OpResult> {
  const { outputs, gradients } = await runOp(gpu, op);
  const inputs: Record<string, Float64Array> = {};
  for (const [name, { data, dtype }] of Object.entries(op.inputs)) {
    inputs[name] = Float64Array.from(
      dtype === "f16" || dtype === "bf16" ? asHalves(data, dtype) : data,
    );
  }
  const expected = op.reference(inputs);
  for (const [name, values] of Object.entries(expected)) {
    assertClose(outputs[name]!, values, {
      tolerance: op.tolerance ?? 1e-5,
      label: `${label}: ${name}`,
    });
  }
  for (const [name, gradient] of Object.entries(gradients)) {
    const indices = sampleIndices(inputs[name]!.length, op.coordinates ?? 40);
    const key = `${label}: ${name} at ${indices} ${digest(inputs, op.outputGradients!, expected)}`;
    const slopes = differences.get(key) ?? numericGradient(op, inputs, name, indices);
    differences.set(key, slopes);
    assertClose(indices.map((i) => gradient[i]!), slopes, {
      tolerance: op.gradientTolerance ?? 2e-5,
      scale: (gradient as Float32Array).reduce((m, v) => Math.max(m, Math.abs(v)), 0),
      label: `${label}: gradient of ${name}`,
    });
  }
  return { outputs, gradients };
}

/** Numeric gradients by what they are of: every device is held against the same ones. */
const differences = new Map<string, Float64Array>();

/** Central differences of the float64 version, weighted with the output gradients. */
function numericGradient(
  { reference, outputGradients }: OpCase,
  inputs: Record<string, Float64Array>,
  name: string,
  indices: readonly number[],
): Float64Array {
  const scalar = (values: Float64Array) => {
    const out = reference({ ...inputs, [name]: values });
    let total = 0;
    for (const [output, seed] of Object.entries(outputGradients!)) {
      const y = out[output]!;
      for (let i = 0; i < y.length; i++) total += y[i]! * seed[i]!;
    }
    return total;
  };
  return finiteDifference(scalar, inputs[name]!, { indices });
}

/** A number for arrays of numbers, which changes with each of them (FNV-1a over their bits). */
function digest(...arrays: Readonly<Record<string, ArrayLike<number>>>[]): number {
  let hash = 0x811c9dc5;
  for (const values of arrays.flatMap((record) => Object.values(record))) {
    for (const word of new Uint32Array(Float64Array.from(values).buffer)) {
      hash = Math.imul(hash ^ word, 0x01000193);
    }
  }
  return hash;
}

/** At most `count` of n indices, spread evenly, with the first and the last among them. */
function sampleIndices(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: count }, (_, i) => Math.round(i * (n - 1) / (count - 1)));
}
