/**
 * Plans: a list of dispatches recorded once and replayed every step.
 *
 * Recording creates nothing on the GPU. {@linkcode Plan.compile} assigns memory by lifetime, makes all bind groups and
 * one uniform buffer; after that a run only encodes and submits. Sizes that change from run to run are {@linkcode Dim}s:
 * dispatch counts and parameters follow their current value.
 *
 * Gradients are a tape of rules written while recording. Gradients of parameters accumulate (`+=`, into
 * {@linkcode Tensor.grad}); gradients of activations are written by their first contribution and accumulated after.
 *
 * @module
 */

import { Arena, type Lifetime } from "./arena.ts";
import type { Gpu } from "./device.ts";
import type { Kernel } from "./kernel.ts";
import { bytesPerElement, Dim, type DType, formatShape, type Size, Tensor } from "./tensor.ts";

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

/** Options of {@linkcode Plan}. */
export interface PlanOptions {
  /** Where intermediate tensors live; a new arena by default. */
  arena?: Arena;
  /** Whether gradient rules are recorded. Default `false`. */
  gradients?: boolean;
}

/** Uniform slots are this far apart: the largest alignment WebGPU may ask for. */
const UNIFORM_STRIDE = 256;
const OFFSET_ALIGNMENT = 256;
const MAX_WORKGROUPS = 65535;

/** A recorded list of dispatches with planned memory. */
export class Plan {
  /** The device it runs on. */
  readonly gpu: Gpu;
  /** Name shown in errors. */
  readonly name: string;
  /** The dispatches in order. */
  readonly commands: Command[] = [];

  readonly #arena: Arena;
  readonly #ownsArena: boolean;
  readonly #recordsGradients: boolean;
  readonly #virtual = new Set<Tensor>();
  readonly #kept = new Set<Tensor>();
  readonly #constants = new Map<Tensor, ArrayLike<number>>();
  readonly #differentiable = new Set<Tensor>();
  readonly #gradients = new Map<Tensor, Tensor>();
  readonly #sharedGradients = new Set<Tensor>();
  readonly #tape: { scope: string[]; rule: () => void }[] = [];
  readonly #afterBackward: (() => void)[] = [];
  #inBackward = false;
  #scope: string[] = [];
  #uniforms: GPUBuffer | undefined;
  #uniformData = new DataView(new ArrayBuffer(0));
  #dynamicParams: { offset: number; type: string; value: () => number; label: string }[] = [];
  #uniformsDirty = true;
  #ownBuffers: GPUBuffer[] = [];

  /**
   * Begins a plan without any dispatch.
   *
   * @param gpu The device.
   * @param name Name shown in errors.
   * @param options Arena to share and whether to record gradients.
   */
  constructor(gpu: Gpu, name: string, options: PlanOptions = {}) {
    this.gpu = gpu;
    this.name = name;
    this.#arena = options.arena ?? new Arena(gpu, name);
    this.#ownsArena = options.arena === undefined;
    this.#recordsGradients = options.gradients ?? false;
  }

  /** Prefixes the labels and tensor names of everything recorded inside. */
  scope<R>(name: string, record: () => R): R {
    this.#scope.push(name);
    try {
      return record();
    } finally {
      this.#scope.pop();
    }
  }

  /** The full path of a name in the current scope. */
  path(name: string): string {
    return [...this.#scope, name].join(".");
  }

  /**
   * Declares an intermediate tensor. Its memory is shared with others whose lifetimes do not overlap, and holds
   * arbitrary values until something is written to it.
   *
   * @param shape Sizes; may contain {@linkcode Dim}s.
   * @param name Name below the current scope.
   * @param dtype Element type. Default `"f32"`.
   */
  empty(shape: readonly Size[], name: string, dtype: DType = "f32"): Tensor {
    const tensor = new Tensor(shape, dtype, this.path(name));
    this.#virtual.add(tensor);
    return tensor;
  }

  /**
   * Gives a tensor memory of its own, so that its values outlive the run and the host may write or read it. A tensor
   * that no dispatch binds gets none.
   *
   * @returns The same tensor.
   */
  keep(tensor: Tensor): Tensor {
    this.#kept.add(tensor.root);
    return tensor;
  }

  /** Whether a tensor is intermediate: before the first dispatch that writes it, it holds arbitrary values. */
  isIntermediate({ root }: Tensor): boolean {
    return this.#virtual.has(root) && !this.#kept.has(root);
  }

  /**
   * Lays intermediate tensors of one type one after the other, so that a kernel can bind all of them at once.
   *
   * @param parts They become views of the whole, at multiples of 256 bytes.
   * @param name Name below the current scope.
   * @returns The whole.
   */
  together(parts: readonly Tensor[], name: string): Tensor {
    const dtype = parts[0]!.dtype;
    const alignment = OFFSET_ALIGNMENT / bytesPerElement(dtype);
    let length = 0;
    const offsets = parts.map(({ capacity }) => {
      const offset = length;
      length += Math.ceil(capacity / alignment) * alignment;
      return offset;
    });
    const whole = this.empty([length], name, dtype);
    for (const [i, part] of parts.entries()) {
      part.moveInto(whole, offsets[i]! * bytesPerElement(dtype));
      this.#virtual.delete(part);
    }
    return whole;
  }

  /** Declares a tensor with memory of its own and fixed values. */
  constant(values: ArrayLike<number>, name: string, dtype: DType = "u32"): Tensor {
    const tensor = this.input([values.length], name, dtype);
    this.#constants.set(tensor, values);
    return tensor;
  }

  /** Declares a tensor with memory of its own that the host writes before a run. */
  input(shape: readonly Size[], name: string, dtype: DType = "f32"): Tensor {
    return this.keep(this.empty(shape, name, dtype));
  }

  /**
   * Records a kernel call.
   *
   * @throws {TypeError} If a binding or parameter is missing or superfluous, or the plan is already compiled.
   */
  dispatch(call: DispatchDescriptor): void {
    const { kernel } = call;
    const label = this.path(call.label ?? kernel.label);
    if (this.#uniforms) {
      throw new TypeError(`Cannot record ${label}: plan ${this.name} is compiled`);
    }
    checkNames(label, "binding", kernel.bindings.map((b) => b.name), Object.keys(call.bindings));
    checkNames(label, "param", kernel.params.map((p) => p.name), Object.keys(call.params ?? {}));
    this.commands.push({ ...call, label });
  }

  // --- gradients ---------------------------------------------------------------------------------------------------

  /** Whether a gradient with respect to this tensor is wanted. */
  isDifferentiable(tensor: Tensor): boolean {
    return tensor.grad !== undefined || this.#differentiable.has(tensor);
  }

  /** Asks for the gradient of an input or intermediate tensor that no parameter feeds. */
  requireGradient(tensor: Tensor): void {
    this.#differentiable.add(tensor);
  }

  /**
   * Records how gradients flow from outputs back to inputs. Does nothing when no input wants one.
   *
   * @param inputs What the op reads.
   * @param outputs What it produces.
   * @param rule Records the reverse dispatches; called by {@linkcode Plan.backward}.
   */
  onBackward(inputs: readonly Tensor[], outputs: readonly Tensor[], rule: () => void): void {
    if (!this.#recordsGradients || this.#inBackward) return;
    if (!inputs.some((x) => this.isDifferentiable(x))) return;
    for (const y of outputs) this.#differentiable.add(y);
    this.#tape.push({ scope: [...this.#scope], rule });
  }

  /** The gradient of a tensor so far, or `undefined` if nothing contributed. */
  gradientOf(tensor: Tensor): Tensor | undefined {
    return tensor.grad ?? this.#gradients.get(tensor);
  }

  /**
   * Contributes to the gradient of a tensor.
   *
   * @param x The tensor; nothing happens if its gradient is not wanted.
   * @param write Records the dispatches that write `dx` (or add to it, when `accumulate` is true).
   */
  intoGradient(x: Tensor, write: (dx: Tensor, accumulate: boolean) => void): void {
    if (!this.isDifferentiable(x)) return;
    if (x.grad) return write(x.grad, true);
    const existing = this.#gradients.get(x);
    if (existing) {
      if (this.#sharedGradients.has(existing)) {
        throw new TypeError(
          `The gradient of ${x.name} is shared with another tensor and cannot take a second contribution: ` +
            "use the tensor once, or through add()",
        );
      }
      return write(existing, true);
    }
    const dx = new Tensor(x.shape, "f32", `${x.name}.grad`);
    this.#virtual.add(dx);
    this.#gradients.set(x, dx);
    write(dx, false);
  }

  /**
   * Makes an existing tensor the whole gradient of `x`, without a copy.
   *
   * @throws {TypeError} If `x` already has a gradient.
   */
  shareGradient(x: Tensor, dx: Tensor): void {
    if (!this.isDifferentiable(x)) return;
    if (x.grad || this.#gradients.has(x)) {
      throw new TypeError(`${x.name} already has a gradient and cannot share another`);
    }
    this.#gradients.set(x, dx);
    this.#sharedGradients.add(dx);
  }

  /** Has more reverse dispatches recorded when those of the whole tape are; for gradient rules. */
  afterBackward(record: () => void): void {
    this.#afterBackward.push(record);
  }

  /** Records the reverse dispatches of everything on the tape, last first. */
  backward(): void {
    this.#inBackward = true;
    for (const { scope, rule } of this.#tape.splice(0).reverse()) {
      const outer = this.#scope;
      this.#scope = scope;
      rule();
      this.#scope = outer;
    }
    for (const record of this.#afterBackward.splice(0)) record();
    this.#inBackward = false;
  }

  // --- compiling ---------------------------------------------------------------------------------------------------

  /**
   * Waits for the kernels, plans memory and makes the bind groups.
   *
   * @returns This plan.
   * @throws {Error} If a kernel does not compile (with its message and line), or memory does not suffice.
   */
  async compile(): Promise<this> {
    const { gpu } = this;
    for (const kernel of new Set(this.commands.map((c) => c.kernel))) {
      try {
        await kernel.ready;
      } catch (error) {
        const user = this.commands.find((c) => c.kernel === kernel)!;
        throw new Error(
          `${(error as Error).message}\n  needed by ${user.label} in plan ${this.name}`,
        );
      }
    }
    gpu.device.pushErrorScope("out-of-memory");
    gpu.device.pushErrorScope("validation");
    let thrown: unknown;
    try {
      this.#placeTensors();
      this.#createUniforms();
      this.#createBindGroups();
    } catch (error) {
      thrown = error;
    }
    const validation = await gpu.device.popErrorScope();
    const memory = await gpu.device.popErrorScope();
    if (memory) {
      throw new Error(
        `Plan ${this.name} needs ${
          mebibytes(this.#arena.byteLength)
        } MiB for intermediate tensors beside ` +
          `${
            mebibytes(gpu.counters.bytesAllocated - this.#arena.byteLength)
          } MiB already in use, and the device ` +
          `has no room: ${memory.message}. Lower maxTokensPerMicroBatch or the model's size`,
      );
    }
    if (thrown) throw thrown;
    if (validation) throw new Error(`Plan ${this.name} is not valid: ${validation.message}`);
    return this;
  }

  #placeTensors(): void {
    const lifetimes = new Map<Tensor, Lifetime>();
    const used = new Set<Tensor>();
    for (const [index, { bindings }] of this.commands.entries()) {
      for (const { root } of Object.values(bindings)) {
        used.add(root);
        if (root.isAllocated || this.#kept.has(root)) continue;
        if (!this.#virtual.has(root)) {
          throw new TypeError(
            `Tensor ${root.name} is used in plan ${this.name} but belongs to another`,
          );
        }
        const known = lifetimes.get(root);
        if (known) known.last = index;
        else lifetimes.set(root, { tensor: root, first: index, last: index });
      }
    }
    this.#arena.place([...lifetimes.values()]);
    for (const tensor of this.#kept) {
      if (tensor.isAllocated || !used.has(tensor)) continue;
      const buffer = this.gpu.createBuffer(
        tensor.byteLength,
        GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
        tensor.name,
      );
      this.#ownBuffers.push(buffer);
      tensor.allocate(buffer);
      const values = this.#constants.get(tensor);
      if (values) this.gpu.write(tensor, values);
    }
  }

  #createUniforms(): void {
    this.#uniformData = new DataView(
      new ArrayBuffer(Math.max(1, this.commands.length) * UNIFORM_STRIDE),
    );
    this.#uniforms = this.gpu.createBuffer(
      this.#uniformData.byteLength,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      `${this.name}.params`,
    );
    this.#ownBuffers.push(this.#uniforms);
    for (const [index, command] of this.commands.entries()) {
      for (const [k, { name, type }] of command.kernel.params.entries()) {
        const offset = index * UNIFORM_STRIDE + 4 * k;
        const param = command.params![name]!;
        if (typeof param === "number") {
          this.#setUniform(offset, type, param, command.label);
        } else {
          const value = typeof param === "function" ? param : () => param.value;
          this.#dynamicParams.push({ offset, type, value, label: command.label });
        }
      }
    }
  }

  #setUniform(offset: number, type: string, value: number, label: string): void {
    if (type !== "f32" && !Number.isInteger(value)) {
      throw new RangeError(
        `${label}: a ${type} parameter must be an integer: current value is ${value}`,
      );
    }
    const before = this.#uniformData.getUint32(offset, true);
    if (type === "f32") this.#uniformData.setFloat32(offset, value, true);
    else this.#uniformData.setUint32(offset, value >>> 0, true);
    if (this.#uniformData.getUint32(offset, true) !== before) this.#uniformsDirty = true;
  }

  #createBindGroups(): void {
    const { device, counters } = this.gpu;
    const limit = device.limits.maxStorageBufferBindingSize;
    for (const [index, command] of this.commands.entries()) {
      const access = new Map<GPUBuffer, boolean>();
      const entries: GPUBindGroupEntry[] = command.kernel.bindings.map((binding) => {
        const tensor = command.bindings[binding.name]!;
        const { buffer, offset } = tensor.storage;
        const size = Math.max(4, tensor.byteLength);
        const where = `${command.label}: ${binding.name} = ${tensor.name} ${
          formatShape(tensor.shape)
        }`;
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
          throw new TypeError(
            `${where} is both read and written through two bindings of one buffer`,
          );
        }
        access.set(buffer, binding.writes);
        return { binding: binding.index, resource: { buffer, offset, size } };
      });
      if (command.kernel.paramsIndex !== undefined) {
        entries.push({
          binding: command.kernel.paramsIndex,
          resource: {
            buffer: this.#uniforms!,
            offset: index * UNIFORM_STRIDE,
            size: Math.max(16, Math.ceil(command.kernel.params.length / 4) * 16),
          },
        });
      }
      command.bindGroup = device.createBindGroup({
        label: command.label,
        layout: command.kernel.layout,
        entries,
      });
      counters.bindGroups++;
    }
  }

  // --- running -----------------------------------------------------------------------------------------------------

  /** Brings the uniform buffer up to date with dimensions and computed parameters. */
  prepare(): void {
    if (!this.#uniforms) {
      throw new TypeError(`Plan ${this.name} is not compiled: await compile() first`);
    }
    for (const { offset, type, value, label } of this.#dynamicParams) {
      this.#setUniform(offset, type, value(), label);
    }
    if (!this.#uniformsDirty) return;
    this.gpu.device.queue.writeBuffer(this.#uniforms, 0, this.#uniformData.buffer);
    this.gpu.counters.bytesToGpu += this.#uniformData.byteLength;
    this.#uniformsDirty = false;
  }

  /** Encodes one command into a pass. */
  encodeCommand(pass: GPUComputePassEncoder, command: Command): void {
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
    this.gpu.counters.dispatches++;
  }

  /** Releases the plan's own buffers, and its arena unless it is shared. Tensors kept by it can no longer be used. */
  destroy(): void {
    for (const buffer of this.#ownBuffers) this.gpu.destroyBuffer(buffer);
    this.#ownBuffers = [];
    if (this.#ownsArena) this.#arena.destroy();
  }
}

/** The value of a parameter now. */
export function paramNow(param: Param): number {
  return typeof param === "number" ? param : param instanceof Dim ? param.value : param();
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
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
