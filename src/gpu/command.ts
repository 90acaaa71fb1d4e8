/**
 * Kernel calls: how they are described, checked, bound to memory and encoded.
 *
 * @module
 */

import type { GpuCounters } from "./counters.ts";
import type { Kernel } from "./kernel.ts";
import { Dim, formatShape, type Tensor } from "./tensor.ts";

/** A kernel parameter: fixed, a dimension, or computed before each run. */
export type Param = number | Dim | (() => number);

/** One kernel call. */
export interface DispatchDescriptor {
  /** What to run. */
  readonly kernel: Kernel;
  /** What the call is for, below the current scope; the kernel's own label by default. */
  readonly label?: string;
  /** Tensors by the names of the kernel's storage bindings. */
  readonly bindings: Readonly<Record<string, Tensor>>;
  /** Values by the names of the kernel's params struct. */
  readonly params?: Readonly<Record<string, Param>>;
  /**
   * Workgroups, counted linearly. Counts beyond 65535 are folded into y: the kernel's linear workgroup id is
   * `wid.x + wid.y * nwg.x`, and ids beyond the count must do nothing.
   */
  readonly workgroups: Param;
  /**
   * The most turns that all loops of one invocation take together, nested and consecutive ones, at the largest sizes;
   * reductions among lanes are not counted.
   * Some drivers end loops after a number of turns; a plan refuses what is beyond it. Default 0.
   */
  readonly turns?: number;
  /** Floating-point operations and bytes moved by one call, for profiles. */
  readonly cost?: { readonly flops?: () => number; readonly bytes?: () => number };
}

/** A recorded dispatch. */
export interface Command extends DispatchDescriptor {
  /** Full path, for example `layers.0.mlp.down_proj.forward`. */
  readonly label: string;
  /** Set when the plan is compiled. */
  bindGroup?: GPUBindGroup;
}

/** What times dispatches, see {@linkcode Gpu.profiler}. */
export interface DispatchTimer {
  /** Encodes a command of a plan in a pass of its own. */
  encode(encoder: GPUCommandEncoder, plan: string, command: Command): void;
  /** Encodes the copy of this submit's times; called last before a submit. */
  encodeCopy(encoder: GPUCommandEncoder): void;
}

/** Tensors begin at multiples of this many bytes in what they are bound as. */
export const OFFSET_ALIGNMENT = 256;

const MAX_WORKGROUPS = 65535;

/** The value of a parameter now. */
export function paramNow(param: Param): number {
  return typeof param === "number" ? param : param instanceof Dim ? param.value : param();
}

/**
 * Checks that a call gives a kernel what it asks for.
 *
 * @throws {TypeError} If a binding or parameter is missing or superfluous.
 */
export function checkCall(label: string, { kernel, bindings, params = {} }: DispatchDescriptor) {
  checkNames(label, "binding", kernel.bindings.map((b) => b.name), Object.keys(bindings));
  checkNames(label, "param", kernel.params.map((p) => p.name), Object.keys(params));
}

function checkNames(label: string, kind: string, wanted: string[], given: string[]): void {
  const missing = wanted.filter((name) => !given.includes(name));
  const extra = given.filter((name) => !wanted.includes(name));
  if (missing.length || extra.length) {
    throw new TypeError(
      `${label}: ${kind}s do not match the kernel: ` +
        [
          missing.length ? `missing ${missing.join(", ")}` : "",
          extra.length ? `unknown ${extra.join(", ")}` : "",
        ]
          .filter(Boolean).join("; "),
    );
  }
}

/**
 * Makes the bind group of a command whose tensors have memory.
 *
 * @param device The device.
 * @param command The command.
 * @param params Where its parameters are.
 * @throws {RangeError} If a tensor is beyond what the device can bind.
 * @throws {TypeError} If a buffer is both read and written.
 */
export function bind(device: GPUDevice, command: Command, params: GPUBufferBinding): GPUBindGroup {
  const { kernel, label } = command;
  const limit = device.limits.maxStorageBufferBindingSize;
  const access = new Map<GPUBuffer, boolean>();
  const entries: GPUBindGroupEntry[] = kernel.bindings.map((binding) => {
    const tensor = command.bindings[binding.name]!;
    const { buffer, offset } = tensor.storage;
    const size = Math.max(4, tensor.byteLength);
    const where = `${label}: ${binding.name} = ${tensor.name} ${formatShape(tensor.shape)}`;
    if (size > limit) {
      throw new RangeError(
        `${where} has ${size} bytes, more than this device's maxStorageBufferBindingSize of ${limit}`,
      );
    }
    if (offset % OFFSET_ALIGNMENT !== 0) {
      throw new RangeError(
        `${where} begins at byte ${offset}, not a multiple of ${OFFSET_ALIGNMENT}`,
      );
    }
    if ((access.get(buffer) ?? binding.writes) !== binding.writes) {
      throw new TypeError(`${where} is both read and written through two bindings of one buffer`);
    }
    access.set(buffer, binding.writes);
    return { binding: binding.index, resource: { buffer, offset, size } };
  });
  if (kernel.paramsIndex !== undefined) {
    entries.push({ binding: kernel.paramsIndex, resource: params });
  }
  return device.createBindGroup({ label, layout: kernel.layout, entries });
}

/** Encodes a command into a pass and counts it. */
export function encode(pass: GPUComputePassEncoder, command: Command, counters: GpuCounters): void {
  const count = paramNow(command.workgroups);
  if (count <= 0) return;
  pass.setPipeline(command.kernel.pipeline);
  pass.setBindGroup(0, command.bindGroup!);
  if (count <= MAX_WORKGROUPS) {
    pass.dispatchWorkgroups(count);
  } else {
    const y = Math.ceil(count / MAX_WORKGROUPS);
    pass.dispatchWorkgroups(Math.ceil(count / y), y);
  }
  counters.dispatches++;
}
