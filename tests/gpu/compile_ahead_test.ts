import { assert, assertEquals, fail } from "@std/assert";
import {
  CompileAhead,
  compileAhead,
  type CompileAheadOptions,
} from "../../src/gpu/compile_ahead.ts";
import { zeroCounters } from "../../src/gpu/counters.ts";
import type { KernelDescriptor } from "../../src/gpu/kernel.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";

/** What compiling takes per thousandth of what making a kernel takes, on the driver below. */
const TIMES = 10;

/** A driver like Mesa's: code is made at the first dispatch, in one thread for each device, and kept on disk. */
class Driver {
  /** Milliseconds since the beginning; nothing but making, compiling and waiting takes any. */
  time = 0;
  opened = 0;
  destroyed = 0;
  readonly compiled: string[] = [];
  readonly #disk = new Map<string, number>();

  constructor(readonly keepsCode = true) {}

  /** Puts code on disk, as an earlier process did. */
  keep(...kernels: Kernel[]): void {
    for (const { name } of kernels) this.#disk.set(name, 0);
  }

  open(): GPUDevice {
    this.opened++;
    let idleAt = 0;
    const submit = (names: string[]) => {
      this.time = Math.max(this.time, idleAt); // as Deno does
      for (const name of names) {
        const there = (this.#disk.get(name) ?? Infinity) <= this.time;
        if (!there) this.compiled.push(name);
        idleAt = Math.max(idleAt, this.time) + (there ? 1 : TIMES * Number(name));
        if (this.keepsCode && !there) this.#disk.set(name, idleAt);
      }
    };
    const nothing = () => ({});
    const device = {
      destroy: () => this.destroyed++,
      addEventListener() {},
      pushErrorScope() {},
      popErrorScope: () => Promise.resolve(null),
      createBuffer: () => ({
        mapAsync: () => {
          this.time = Math.max(this.time, idleAt);
          return Promise.resolve();
        },
        getMappedRange: nothing,
        unmap() {},
        destroy() {},
      }),
      createShaderModule: nothing,
      createBindGroupLayout: nothing,
      createPipelineLayout: nothing,
      createBindGroup: nothing,
      createComputePipeline: ({ label }: { label: string }) => {
        const name = label.split(".")[0]!;
        this.time += Number(name);
        return name;
      },
      createCommandEncoder: () => {
        let name = "";
        const setPipeline = (pipeline: string) => name = pipeline;
        const pass = { setPipeline, setBindGroup() {}, dispatchWorkgroups() {}, end() {} };
        return { beginComputePass: () => pass, finish: () => name };
      },
      queue: { writeBuffer() {}, submit },
    };
    return device as unknown as GPUDevice;
  }

  /** Uses kernels as a plan does, and says how long their first dispatches take on the device itself. */
  async run(ahead: CompileAhead, device: GPUDevice, kernels: Kernel[]): Promise<number> {
    for (const kernel of kernels) {
      this.time += kernel.ms;
      ahead.add(kernel, kernel.ms);
    }
    await ahead.finish();
    const before = this.time;
    for (const { name } of kernels) device.queue.submit([name] as unknown as GPUCommandBuffer[]);
    device.queue.submit([]);
    return this.time - before;
  }
}

interface Kernel extends KernelDescriptor {
  readonly ms: number;
}

/** A kernel that takes so many milliseconds to make. */
function kernel(ms: number): Kernel {
  return { name: `${ms}`, code: "@compute fn main() {}", entryPoint: "main", ms };
}

const SMALL = kernel(8);
const KERNELS = [SMALL, ...[20, 21, 22, 23, 24, 25, 26, 27].map(kernel)];

function aheadOf(driver: Driver, device: GPUDevice, changed: Partial<CompileAheadOptions> = {}) {
  const counters = zeroCounters();
  const seen: string[] = [];
  const ahead = new CompileAhead(device, {
    another: () => Promise.resolve(driver.open()),
    cores: 2,
    now: () => driver.time,
    counters,
    onProgress: (kernels, total) => seen.push(`${kernels} of ${total}`),
    ...changed,
  });
  return { ahead, counters, seen };
}

Deno.test("what is not on disk is compiled by other devices, side by side", async () => {
  const driver = new Driver();
  const device = driver.open();
  const { ahead, counters, seen } = aheadOf(driver, device);
  const took = await driver.run(ahead, device, KERNELS);
  assertEquals(took, KERNELS.length); // one millisecond each: all were found
  assertEquals(counters.kernelsAhead, KERNELS.length - 1); // the first was tried on the device
  assertEquals(driver.compiled.length, KERNELS.length, "something was compiled twice");
  const alone = KERNELS.reduce((sum, { ms }) => sum + (1 + TIMES) * ms, 0);
  assert(driver.time < 0.6 * alone, `${driver.time} of ${alone}`);
  assertEquals(seen.slice(-2), ["7 of 8", "8 of 8"]);
  assert(counters.compileSeconds > 0);
  await ahead.close();
  assertEquals(driver.destroyed, driver.opened - 1);
});

Deno.test("kernels are compiled while others are recorded, once the disk is known to be without", async () => {
  const driver = new Driver();
  const device = driver.open();
  const { ahead, counters } = aheadOf(driver, device);
  await driver.run(ahead, device, KERNELS.slice(0, 5));
  const before = counters.kernelsAhead;
  for (const kernel of KERNELS.slice(5)) ahead.add(kernel, kernel.ms);
  assert(counters.kernelsAhead > before, "nothing was given away before all was recorded");
  await ahead.finish();
  assertEquals(counters.kernelsAhead, KERNELS.length - 1);
  await ahead.close();
});

Deno.test("what is on disk is left to the device after one trial", async () => {
  const driver = new Driver();
  driver.keep(...KERNELS);
  const device = driver.open();
  const { ahead, counters } = aheadOf(driver, device);
  const made = KERNELS.reduce((sum, { ms }) => sum + ms, 0);
  await driver.run(ahead, device, KERNELS);
  assert(driver.time - made <= 20, `a trial took ${driver.time - made} ms`);
  await driver.run(ahead, device, [kernel(30), kernel(31)]);
  assertEquals([driver.opened, counters.kernelsAhead], [1, 0]);
  await ahead.close();
});

Deno.test("a disk that keeps no code is found out by one small kernel", async () => {
  const driver = new Driver(false);
  const device = driver.open();
  const { ahead, counters } = aheadOf(driver, device);
  await driver.run(ahead, device, KERNELS);
  await driver.run(ahead, device, [kernel(30), kernel(31)]);
  assertEquals([driver.opened, driver.destroyed, counters.kernelsAhead], [2, 1, 0]);
  const twice = driver.compiled.filter((name) => name === SMALL.name).length;
  assertEquals(driver.compiled.length, KERNELS.length + 2 + twice - 1);
  await ahead.close();
});

Deno.test("where the first kernel alone was new, those of later plans are left to the device", async () => {
  const driver = new Driver();
  const later = [30, 31, 32, 33].map(kernel);
  driver.keep(...KERNELS.slice(1), ...later);
  const device = driver.open();
  const { ahead, counters } = aheadOf(driver, device);
  await driver.run(ahead, device, KERNELS);
  const before = counters.kernelsAhead;
  await driver.run(ahead, device, later);
  assertEquals(counters.kernelsAhead, before);
  await ahead.close();
});

Deno.test("without another device, or with one that is lost, all is left to the device", async () => {
  const lost = (driver: Driver) => {
    const device = driver.open();
    let submits = 0;
    const { submit } = device.queue;
    Object.assign(device.queue, {
      submit(names: GPUCommandBuffer[]) {
        if (++submits > 3) throw new TypeError("lost");
        submit(names);
      },
    });
    return Promise.resolve(device);
  };
  const none = () => Promise.reject(new TypeError("no other device"));
  for (const another of [none, lost]) {
    const driver = new Driver();
    const device = driver.open();
    const { ahead } = aheadOf(driver, device, { another: () => another(driver) });
    await driver.run(ahead, device, KERNELS);
    await driver.run(ahead, device, [kernel(30)]);
    assert(driver.compiled.includes("27") && driver.compiled.includes("30"));
    assertEquals(driver.destroyed, driver.opened - 1);
    await ahead.close();
  }
});

Deno.test("helpers are released when they have had nothing to do for a while", async () => {
  const driver = new Driver();
  const device = driver.open();
  const { ahead, counters } = aheadOf(driver, device);
  await driver.run(ahead, device, KERNELS);
  ahead.rest();
  assertEquals(driver.destroyed, 0);
  driver.time += 2000;
  ahead.rest();
  assertEquals(driver.destroyed, driver.opened - 1);
  const before = counters.kernelsAhead;
  await driver.run(ahead, device, [30, 31, 32].map(kernel));
  assertEquals(counters.kernelsAhead, before + 3);
  await ahead.close();
});

Deno.test("nothing is compiled ahead for graphics processors, and where a device cannot be waited for", () => {
  const driver = new Driver();
  const device = driver.open();
  const late = { compilesLate: true, mapsSynchronously: true };
  const options = {
    another: () => Promise.resolve(driver.open()),
    counters: zeroCounters(),
    onProgress() {},
  };
  if (navigator.hardwareConcurrency > 1) assert(compileAhead(device, late, options));
  for (
    const [facts, given] of [
      [{ ...late, compilesLate: false }, options],
      [{ ...late, mapsSynchronously: false }, options],
      [late, { ...options, another: undefined }],
    ] as const
  ) assertEquals(compileAhead(device, facts, given), undefined);
});

test.onGpu("a process that finds no code on disk computes the same bits as one that does", async (gpu) => {
  const source = (path: string) => new URL(`../../src/${path}`, import.meta.url);
  const script = `
    import { openGpu } from "${source("gpu/open.ts")}";
    import { numbersOf } from "${source("run/numbers.ts")}";
    const gpu = await openGpu();
    const numbers = await numbersOf(gpu);
    console.log(JSON.stringify({ numbers, ahead: gpu.counters.kernelsAhead }));
    await gpu.close();`;
  await inTempDir(async (dir) => {
    const run = async (): Promise<{ numbers: string; ahead: number }> => {
      const { stdout, stderr } = await new Deno.Command("deno", {
        args: ["eval", "--no-check", "--ext=ts", script],
        env: {
          DENO_WEBGPU_BACKEND: "vulkan,metal,dx12",
          MESA_SHADER_CACHE_DIR: dir,
          MESA_SHADER_CACHE_DISABLE: "false",
        },
      }).output();
      const text = new TextDecoder().decode(stdout);
      return text === "" ? fail(new TextDecoder().decode(stderr)) : JSON.parse(text);
    };
    const cold = await run();
    const late = /llvmpipe/.test(gpu.adapter.description) && navigator.hardwareConcurrency > 1;
    assertEquals(cold.ahead > 0, late, `${cold.ahead} kernels on ${gpu.adapter.description}`);
    assertEquals(await run(), { ...cold, ahead: 0 });
  });
});

test.onGpu("a kernel that does not compile is tried without a trace on the device", async (gpu) => {
  const { device } = gpu;
  const ahead = new CompileAhead(device, {
    another: () => fail("nothing is worth another device"),
    cores: 2,
    now: () => 0,
    counters: zeroCounters(),
    onProgress: () => {},
  });
  ahead.add({ name: "broken", code: "fn main() { nix; }", entryPoint: "main" }, 1);
  await ahead.finish();
  await gpu.finish();
  gpu.check();
  await ahead.close();
});
