/**
 * One device for all that a process opens: each kernel is compiled once, which is most of what tests cost.
 *
 * Importing this module makes `navigator.gpu` hand out leases of a device instead of devices. A lease is destroyed and lost
 * like a device, but what it compiled stays compiled for the leases after it. Tests of devices themselves open theirs with
 * {@linkcode ownDevices}.
 *
 * @module
 */

type Created = GPUBindGroupLayout | GPUPipelineLayout | GPUShaderModule | GPUComputePipeline;

/** What was created on a device, by what it was made from. */
class Creations {
  readonly #made = new Map<string, Created>();
  readonly #names = new WeakMap<Created, number>();
  #count = 0;
  /** What was made since each error scope was pushed: what an error may be about is not kept. */
  readonly #scopes: string[][] = [];

  once<T extends Created>(kind: string, from: unknown, make: () => T): T {
    const key = kind +
      (typeof from === "string"
        ? from
        : JSON.stringify(from, (_, value) => this.#names.get(value) ?? value));
    let made = this.#made.get(key) as T | undefined;
    if (!made) {
      made = make();
      this.#made.set(key, made);
      this.#names.set(made, this.#count++);
      for (const scope of this.#scopes) scope.push(key);
    }
    return made;
  }

  pushScope(): void {
    this.#scopes.push([]);
  }

  async popScope(error: Promise<GPUError | null>): Promise<GPUError | null> {
    const keys = this.#scopes.pop() ?? [];
    const found = await error;
    if (found) { for (const key of keys) this.#made.delete(key); }
    return found;
  }
}

interface Real {
  readonly device: GPUDevice;
  readonly creations: Creations;
}

const devices = new Map<string, Promise<Real>>();
const requestDevice = GPUAdapter.prototype.requestDevice;
let own = false;

/** Runs `use` with devices of its own. */
export async function ownDevices<T>(use: () => Promise<T>): Promise<T> {
  own = true;
  try {
    return await use();
  } finally {
    own = false;
  }
}

GPUAdapter.prototype.requestDevice = async function (descriptor = {}) {
  if (own) return await requestDevice.call(this, descriptor);
  const { requiredFeatures, requiredLimits } = descriptor;
  const key = JSON.stringify([this.info.description, [...requiredFeatures ?? []], requiredLimits]);
  let real = devices.get(key);
  if (!real) {
    real = requestDevice.call(this, descriptor)
      .then((device) => ({ device, creations: new Creations() }));
    devices.set(key, real);
  }
  return leaseOf(await real);
};

/** A stand-in for a device, with an end of its own. */
function leaseOf({ device, creations }: Real): GPUDevice {
  const { promise: lost, resolve } = Promise.withResolvers<GPUDeviceLostInfo>();
  const instead = {
    lost,
    destroy: () => resolve({ reason: "destroyed", message: "" } as GPUDeviceLostInfo),
    pushErrorScope(filter: GPUErrorFilter) {
      creations.pushScope();
      device.pushErrorScope(filter);
    },
    popErrorScope: () => creations.popScope(device.popErrorScope()),
    createBindGroupLayout: (from: GPUBindGroupLayoutDescriptor) =>
      creations.once("bindings", from, () => device.createBindGroupLayout(from)),
    createPipelineLayout: (from: GPUPipelineLayoutDescriptor) =>
      creations.once("layout", from, () => device.createPipelineLayout(from)),
    createShaderModule: (from: GPUShaderModuleDescriptor) =>
      creations.once("module", from.code, () => device.createShaderModule(from)),
    createComputePipeline: (from: GPUComputePipelineDescriptor) =>
      creations.once("pipeline", from, () => device.createComputePipeline(from)),
  };
  return new Proxy(device, {
    get(target, name) {
      if (name in instead) return Reflect.get(instead, name);
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}
