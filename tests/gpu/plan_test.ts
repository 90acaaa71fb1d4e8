import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Arena } from "../../src/gpu/arena.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { locateNonFinite } from "../../src/gpu/locate_non_finite.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim, Tensor } from "../../src/gpu/tensor.ts";
import { withoutRoomFor } from "../helpers/without_room.ts";

/** y[i] = x[i] * factor + offset, one workgroup of one invocation per element. */
const AFFINE = `
struct Params { count: u32, factor: f32, offset: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
    let i = wid.x + wid.y * nwg.x;
    if (i < params.count) { y[i] = x[i] * params.factor + params.offset; }
}
`;

async function withGpu(body: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  try {
    await body(gpu);
  } finally {
    await gpu.close();
  }
}

function affine(
  plan: Plan,
  x: Tensor,
  factor: number | (() => number),
  offset = 0,
  name = "affine",
): Tensor {
  const y = plan.empty(x.shape, name);
  const count = x.shape[0]!;
  plan.dispatch({
    kernel: plan.gpu.kernel({ name: "affine", code: AFFINE, entryPoint: "main" }),
    label: name,
    bindings: { x, y },
    params: { count, factor, offset },
    workgroups: count,
  });
  plan.onBackward([x], [y], () => {
    const dy = plan.gradientOf(y);
    if (dy) plan.shareGradient(x, affine(plan, dy, factor, 0, `${name}.backward`));
  });
  return y;
}

Deno.test("a plan follows its dimensions and computed parameters from run to run", () =>
  withGpu(async (gpu) => {
    const plan = new Plan(gpu, "p");
    const n = new Dim("n", 5);
    let factor = 2;
    const x = plan.input([n], "x");
    const y = plan.keep(affine(plan, x, () => factor, 1));
    await plan.compile();
    gpu.write(x, [1, 2, 3, 4, 5]);
    submit(gpu, [plan]);
    assertEquals(await readTensor(gpu, y), Float32Array.of(3, 5, 7, 9, 11));
    n.value = 2;
    factor = 10;
    submit(gpu, [plan]);
    assertEquals(await readTensor(gpu, y), Float32Array.of(11, 21));
    n.value = 5;
    assertEquals(await readTensor(gpu, y), Float32Array.of(11, 21, 7, 9, 11), "no work beyond n");
    n.value = 3;
    submit(gpu, [{ clear: y }]);
    n.value = 5;
    assertEquals(await readTensor(gpu, y), Float32Array.of(0, 0, 0, 9, 11));
  }));

Deno.test("a plan folds more than 65535 workgroups into two dimensions", () =>
  withGpu(async (gpu) => {
    for (const count of [65535, 65536, 131071, 200003]) {
      const plan = new Plan(gpu, "p");
      const x = plan.input([count], "x");
      const y = plan.keep(affine(plan, x, 1, 1));
      await plan.compile();
      submit(gpu, [plan]);
      const values = await readTensor(gpu, y);
      assertEquals((values as Float32Array).every((v) => v === 1), true);
      plan.destroy();
    }
  }));

Deno.test("intermediate tensors share memory once their last reader is recorded", () =>
  withGpu(async (gpu) => {
    const arena = new Arena(gpu, "arena");
    const plan = new Plan(gpu, "p", { arena });
    const x = plan.input([1024], "x");
    let y: Tensor = x;
    for (let i = 0; i < 10; i++) y = affine(plan, y, 1, 1);
    plan.keep(y);
    await plan.compile();
    assertEquals(arena.byteLength, 2 * 4096);
    submit(gpu, [plan]);
    assertEquals((await readTensor(gpu, y))[1023], 10);

    // A second plan over the same arena needs no more.
    const created = gpu.counters.buffersCreated;
    const second = new Plan(gpu, "q", { arena });
    const z = second.keep(affine(second, affine(second, x, 2), 3));
    await second.compile();
    assertEquals(arena.byteLength, 2 * 4096);
    assertEquals(gpu.counters.buffersCreated - created, 2, "its result and its params");
    submit(gpu, [second]);
    assertEquals((await readTensor(gpu, z))[0], 0);
  }));

Deno.test("what a plan leaves to another stays until plans of the arena's owner run", () =>
  withGpu(async (gpu) => {
    const owner = new Arena(gpu, "owner");
    const arena = new Arena(gpu, "guest", owner);
    const [first, second, other] = [[arena, "p"], [arena, "q"], [owner, "r"]].map(
      ([arena, name]) => new Plan(gpu, name as string, { arena: arena as Arena }),
    ) as [Plan, Plan, Plan];
    const x = gpu.tensor([1024], { data: new Float32Array(1024).fill(1) });
    const left = first.leave(affine(first, affine(first, x, 2), 3));
    // Without care one of these would take the place of what was left.
    let y: Tensor = x;
    for (let i = 0; i < 4; i++) y = affine(second, y, 1, 1);
    const [sum, still] = [second.keep(affine(second, y, 1)), second.keep(affine(second, left, 1))];
    let z: Tensor = x;
    for (let i = 0; i < 4; i++) z = affine(other, z, 0, -1);
    other.keep(z);
    for (const plan of [first, second, other]) await plan.compile();
    // Left, and two that take turns.
    assertEquals(owner.byteLength, 3 * 4096);
    for (const _ of [1, 2]) {
      submit(gpu, [first, { plan: second, times: 3 }]);
      assertEquals((await readTensor(gpu, sum))[7], 5);
      assertEquals((await readTensor(gpu, still))[7], 6);
      submit(gpu, [other]);
    }
    arena.destroy();
    assertEquals(owner.byteLength, 3 * 4096);
    owner.destroy();
  }));

Deno.test("running a compiled plan creates nothing", () =>
  withGpu(async (gpu) => {
    const plan = new Plan(gpu, "p");
    const x = plan.input([64], "x");
    const y = plan.keep(affine(plan, affine(plan, x, 2), 3));
    await plan.compile();
    const readback = new Readback(gpu, [y]);
    const before = { ...gpu.counters };
    for (let i = 0; i < 100; i++) {
      gpu.write(x, new Float32Array(64).fill(i));
      submit(gpu, [plan], readback);
      const [values] = await readback.take();
      assertEquals(values![63], 6 * i);
    }
    assertEquals(gpu.counters.buffersCreated, before.buffersCreated);
    assertEquals(gpu.counters.bindGroups, before.bindGroups);
    assertEquals(gpu.counters.submits - before.submits, 100);
    assertEquals(gpu.counters.dispatches - before.dispatches, 200);
    assertEquals(gpu.counters.bytesFromGpu - before.bytesFromGpu, 100 * 256);
  }));

Deno.test("gradients flow through the tape, into parameters by addition", () =>
  withGpu(async (gpu) => {
    const plan = new Plan(gpu, "p", { gradients: true });
    const x = gpu.tensor([3], { data: [1, 2, 3] });
    plan.requireGradient(x);
    const y = affine(plan, affine(plan, x, 2), 5);
    plan.shareGradient(y, gpu.tensor([3], { data: [1, 10, 100] }));
    plan.backward();
    const dx = plan.keep(plan.gradientOf(x)!);
    await plan.compile();
    submit(gpu, [plan]);
    assertEquals(await readTensor(gpu, dx), Float32Array.of(10, 100, 1000));
  }));

Deno.test("a tensor with two users cannot share its gradient silently", () =>
  withGpu((gpu) => {
    const plan = new Plan(gpu, "p", { gradients: true });
    const x = gpu.tensor([3]);
    plan.requireGradient(x);
    const outputs = [affine(plan, x, 2), affine(plan, x, 3)];
    for (const y of outputs) plan.shareGradient(y, gpu.tensor([3]));
    assertThrows(() => plan.backward(), TypeError, "already has a gradient");
    return Promise.resolve();
  }));

Deno.test("nothing is recorded for the gradient when no input wants one", () =>
  withGpu((gpu) => {
    const plan = new Plan(gpu, "p", { gradients: true });
    const y = affine(plan, gpu.tensor([3]), 2);
    assertEquals(plan.isDifferentiable(y), false);
    plan.backward();
    assertEquals(plan.dispatches, 1);
    return Promise.resolve();
  }));

Deno.test("labels are paths of scopes", () =>
  withGpu((gpu) => {
    const plan = new Plan(gpu, "p");
    const y = plan.scope(
      "layers.0",
      () => plan.scope("mlp", () => affine(plan, gpu.tensor([1]), 2)),
    );
    assertEquals([...plan][0]!.label, "layers.0.mlp.affine");
    assertEquals(y.name, "layers.0.mlp.affine");
    return Promise.resolve();
  }));

Deno.test("a call with a wrong name says which is missing and which is unknown", () =>
  withGpu((gpu) => {
    const plan = new Plan(gpu, "p");
    const x = gpu.tensor([1]);
    const call = (bindings: Record<string, Tensor>, params: Record<string, number>) => () =>
      plan.dispatch({
        kernel: gpu.kernel({ name: "affine", code: AFFINE, entryPoint: "main" }),
        bindings,
        params,
        workgroups: 1,
      });
    const params = { count: 1, factor: 1, offset: 0 };
    assertThrows(call({ x, out: x }, params), TypeError, "missing y; unknown out");
    assertThrows(call({ x, y: x }, { ...params, scale: 1 }), TypeError, "unknown scale");
    return Promise.resolve();
  }));

Deno.test("a plan refuses what WebGPU would fail on later, by name", () =>
  withGpu(async (gpu) => {
    const both = new Plan(gpu, "both");
    const x = gpu.tensor([4], { name: "x" });
    both.dispatch({
      kernel: gpu.kernel({ name: "affine", code: AFFINE, entryPoint: "main" }),
      bindings: { x, y: x },
      params: { count: 4, factor: 1, offset: 0 },
      workgroups: 4,
    });
    await assertRejects(() => both.compile(), TypeError, "both read and written");

    const unaligned = new Plan(gpu, "unaligned");
    affine(unaligned, gpu.tensor([128]).view([4], { elementOffset: 4 }), 1);
    await assertRejects(() => unaligned.compile(), RangeError, "not a multiple of 256");

    const large = new Plan(gpu, "large");
    const { maxStorageBufferBindingSize: limit, maxBufferSize } = gpu.device.limits;
    affine(large, new Plan(gpu, "o").empty([4], "x"), 1);
    await assertRejects(() => large.compile(), TypeError, "belongs to another");
    const huge = new Plan(gpu, "huge");
    affine(huge, huge.input([limit / 4 + 64], "x"), 1);
    await assertRejects(
      () => huge.compile(),
      RangeError,
      maxBufferSize > limit
        ? `maxStorageBufferBindingSize of ${limit}`
        : `maxBufferSize of ${maxBufferSize}`,
    );

    const fraction = new Plan(gpu, "fraction");
    const y = fraction.empty([1], "y");
    fraction.dispatch({
      kernel: gpu.kernel({ name: "affine", code: AFFINE, entryPoint: "main" }),
      bindings: { x: gpu.tensor([1]), y },
      params: { count: 0.5, factor: 1, offset: 0 },
      workgroups: 1,
    });
    await assertRejects(() => fraction.compile(), RangeError, "must be an integer");

    const plan = new Plan(gpu, "plan");
    affine(plan, x, 1);
    assertThrows(() => submit(gpu, [plan]), TypeError, "not compiled");
    await plan.compile();
    assertThrows(() => affine(plan, x, 1), TypeError, "is compiled");
  }));

Deno.test("a Dim refuses values beyond its capacity", () => {
  const n = new Dim("tokens", 8);
  for (const value of [9, -1, 1.5, NaN]) {
    assertThrows(
      () => n.value = value,
      RangeError,
      "Dimension tokens must be an integer from 0 to 8",
    );
  }
  assertThrows(() => new Dim("tokens", 0), RangeError, "positive integer capacity");
});

Deno.test("a view stays inside its tensor", () => {
  const tensor = new Tensor([4, 4], "f32", "t");
  assertEquals(tensor.view([8], { elementOffset: 8 }).rootOffset, 32);
  assertThrows(() => tensor.view([8], { elementOffset: 9 }), RangeError, "reaches beyond t [4, 4]");
});

Deno.test("locateNonFinite() names the dispatch, the tensor and the element", () =>
  withGpu(async (gpu) => {
    const plan = new Plan(gpu, "p");
    const x = plan.input([4], "x");
    plan.scope("layer", () => affine(plan, affine(plan, x, 2, 0, "fine"), 3e38, 0, "grows"));
    await plan.compile();
    gpu.write(x, [0, 0, 1, 0]);
    const found = await locateNonFinite(gpu, plan);
    assertEquals(found, { label: "layer.grows", tensor: "layer.grows", index: 2, value: Infinity });
    gpu.write(x, [0, 0, 0, 0]);
    assertEquals(await locateNonFinite(gpu, plan), undefined);
  }));

Deno.test("locateNonFinite() does not take for output what a kernel leaves as it was", () =>
  withGpu(async (gpu) => {
    const plan = new Plan(gpu, "p");
    const x = plan.input([4], "x");
    const half = plan.empty([4], "half");
    plan.dispatch({
      kernel: gpu.kernel({ name: "affine", code: AFFINE, entryPoint: "main" }),
      bindings: { x, y: half },
      params: { count: 2, factor: 1, offset: 0 },
      workgroups: 2,
    });
    const whole = affine(plan, x, 3e38, 0, "whole");
    await plan.compile();
    assertEquals(half.storage, whole.storage, "the test needs them to share memory");
    gpu.write(x, [0, 0, 0, 2]);
    submit(gpu, [plan]);
    gpu.write(x, [0, 0, 0, 0]);
    assertEquals(await locateNonFinite(gpu, plan), undefined);
  }));

Deno.test("a buffer beyond the device's limit is refused with the numbers", () =>
  withGpu((gpu) => {
    const limit = gpu.device.limits.maxBufferSize;
    const elements = Math.ceil(limit / 4) + 4;
    const before = gpu.counters.bytesAllocated;
    assertThrows(
      () => gpu.tensor([elements], { name: "weights" }),
      RangeError,
      `Cannot create buffer weights: ${
        4 * elements
      } bytes are more than this device's maxBufferSize of ${limit}`,
    );
    assertEquals(gpu.counters.bytesAllocated, before);
    return Promise.resolve();
  }));

Deno.test("of plans that are compiled at the same time, each hears of its own errors", () =>
  withGpu(async (gpu) => {
    const plans = ["a", "b"].map((name) => {
      const plan = new Plan(gpu, name);
      plan.keep(affine(plan, gpu.tensor([4]), 2, 0, `${name}.y`));
      return plan;
    });
    withoutRoomFor(gpu, (label) => label.startsWith("b"));
    const results = await Promise.allSettled(plans.map((plan) => plan.compile()));
    assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected"]);
    assertEquals(
      (results[1] as PromiseRejectedResult).reason.message.includes("Plan b needs"),
      true,
    );
  }));
