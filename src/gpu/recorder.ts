/**
 * Recording: dispatches under scopes, and the tensors between them.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { checkCall, type Command, type DispatchDescriptor, OFFSET_ALIGNMENT } from "./command.ts";
import { bytesPerElement, type DType, type Size, Tensor } from "./tensor.ts";

const DISPATCH = namesOf<DispatchDescriptor>({
  kernel: true,
  label: true,
  bindings: true,
  params: true,
  workgroups: true,
  turns: true,
  cost: true,
});

/** Turns that are left for what a kernel does beside its own loops, such as reductions among lanes. */
const SPARE_TURNS = 4096;

/** A list of dispatches in the making. */
export abstract class Recorder implements Iterable<Command> {
  /** Name shown in errors. */
  readonly name: string;
  /** Values that tensors keep from the start. */
  protected readonly constants: Map<Tensor, ArrayLike<number>> = new Map();
  /** Whether nothing more can be recorded. */
  protected abstract readonly isCompiled: boolean;
  /** Turns after which the device ends the loops of an invocation. */
  protected abstract readonly loopLimit: number;

  #commands: Command[] = [];
  #bound: Set<Tensor> | undefined;
  #scope: readonly string[] = [];
  readonly #virtual = new Set<Tensor>();
  readonly #kept = new Set<Tensor>();
  readonly #left = new Set<Tensor>();

  /** Begins without any dispatch. */
  constructor(name: string) {
    this.name = name;
  }

  /** The dispatches in order. */
  [Symbol.iterator](): Iterator<Command> {
    return this.#commands.values();
  }

  /** Number of dispatches so far. */
  get dispatches(): number {
    return this.#commands.length;
  }

  /** Whether any dispatch so far binds a tensor, or a view of the same memory. */
  binds({ root }: Tensor): boolean {
    this.#bound ??= new Set(
      this.#commands.flatMap(({ bindings }) => Object.values(bindings).map((t) => t.root)),
    );
    return this.#bound.has(root);
  }

  /**
   * Records everything anew.
   *
   * @param pass Gets the dispatches so far, and `keep`, which takes one over; it may record others in between.
   */
  rewrite(pass: (commands: readonly Command[], keep: (command: Command) => void) => void): void {
    const before = this.#commands;
    this.#commands = [];
    this.#bound = undefined;
    pass(before, (command) => this.#add(command));
  }

  #add(command: Command): void {
    this.#commands.push(command);
    this.#bound = undefined;
  }

  /** The scope names are recorded under now. */
  protected get scopeNow(): readonly string[] {
    return this.#scope;
  }

  /** Records under a scope from elsewhere instead of the current one. */
  protected within<R>(scope: readonly string[], record: () => R): R {
    const outer = this.#scope;
    this.#scope = scope;
    try {
      return record();
    } finally {
      this.#scope = outer;
    }
  }

  /** Declares an intermediate tensor by its full path. */
  protected makeTensor<D extends DType>(shape: readonly Size[], path: string, dtype: D): Tensor<D> {
    const tensor = new Tensor(shape, dtype, path);
    this.#virtual.add(tensor);
    return tensor;
  }

  /** Whether a tensor was declared here. */
  protected declares({ root }: Tensor): boolean {
    return this.#virtual.has(root);
  }

  /** Tensors that get memory of their own. */
  protected get keptTensors(): ReadonlySet<Tensor> {
    return this.#kept;
  }

  /** Tensors for other plans of the arena. */
  protected get leftTensors(): ReadonlySet<Tensor> {
    return this.#left;
  }

  /** Prefixes the labels and tensor names of everything recorded inside. */
  scope<R>(name: string, record: () => R): R {
    return this.within([...this.#scope, name], record);
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
  empty<D extends DType = "f32">(
    shape: readonly Size[],
    name: string,
    dtype: D = "f32" as D,
  ): Tensor<D> {
    return this.makeTensor(shape, this.path(name), dtype);
  }

  /**
   * Gives a tensor memory of its own, so that its values outlive the run and the host may write or read it. A tensor
   * that no dispatch binds gets none.
   *
   * @returns The same tensor.
   */
  keep<T extends Tensor>(tensor: T): T {
    this.#kept.add(tensor.root);
    return tensor;
  }

  /**
   * Lets a tensor outlive the run, for other plans of the same arena, until plans of an arena that shares its blocks run.
   *
   * @returns The same tensor.
   */
  leave<T extends Tensor>(tensor: T): T {
    this.#left.add(tensor.root);
    return tensor;
  }

  /** Whether a tensor is intermediate: before the first dispatch that writes it, it holds arbitrary values. */
  isIntermediate({ root }: Tensor): boolean {
    return this.declares(root) && !this.#kept.has(root) && !this.#left.has(root);
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
    this.constants.set(tensor, values);
    return tensor;
  }

  /** Declares a tensor with memory of its own that the host writes before a run. */
  input<D extends DType = "f32">(
    shape: readonly Size[],
    name: string,
    dtype: D = "f32" as D,
  ): Tensor<D> {
    return this.keep(this.empty(shape, name, dtype));
  }

  /**
   * Records a kernel call.
   *
   * @throws {TypeError} If a binding or parameter is missing or superfluous, or the plan is already compiled.
   * @throws {RangeError} If its loops take more turns than the driver lets them.
   */
  dispatch(call: DispatchDescriptor): void {
    checkNames("dispatch", call, DISPATCH);
    const label = this.path(call.label ?? call.kernel.label);
    if (this.isCompiled) {
      throw new TypeError(`Cannot record ${label}: plan ${this.name} is compiled`);
    }
    checkCall(label, call);
    if (call.turns !== undefined && call.turns > this.loopLimit - SPARE_TURNS) {
      throw new RangeError(
        `${label}: its loops take up to ${call.turns} turns, and this driver ends them after ${this.loopLimit} without an ` +
          "error: make the dimensions smaller, or use a newer driver (Mesa 25 or later does not end loops)",
      );
    }
    this.#add({ ...call, label });
  }
}
