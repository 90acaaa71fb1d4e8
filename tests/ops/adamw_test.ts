import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import {
  adamw,
  type AdamwOptions,
  type AdamwTensors,
  type MomentDType,
  roundingKey,
} from "../../src/ops/adamw.ts";
import { threefry2x32 } from "../../src/random/random.ts";
import { gradNorm } from "../../src/ops/grad_norm.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";
import { adamwStep, clipCoefficient, globalNorm } from "../reference/adamw.ts";

/** Flat arrays of `n` with random parameters, and a plan that computes the norm and updates. */
async function prepare(
  gpu: Gpu,
  n: number,
  options: AdamwOptions,
  dtype: MomentDType = "f32",
): Promise<{ plan: Plan; tensors: Omit<AdamwTensors, "gradNorm"> }> {
  const tensors = {
    parameters: gpu.tensor([n], { data: randomArray(1, n), name: "parameters" }),
    gradients: gpu.tensor([n], { name: "gradients" }),
    firstMoment: gpu.tensor([n], { name: "firstMoment", dtype }),
    secondMoment: gpu.tensor([n], { name: "secondMoment", dtype }),
  };
  const plan = new Plan(gpu, "update");
  adamw(plan, { ...tensors, gradNorm: gradNorm(plan, tensors.gradients) }, options);
  await plan.compile();
  return { plan, tensors };
}

test.onDevices("adamw() follows PyTorch's update over several steps, with and without clipping", async (gpu) => {
  const cases: [number, number, number, number?][] = [
    [4, 0, 0.1],
    [64, 1, 0],
    [260, Infinity, 0.01],
    [1004, 0.5, 0.1, 512],
    [70_000, 100, 0.1, 50_000],
  ];
  for (const [n, maxGradNorm, weightDecay, maxBindingBytes] of cases) {
    let step = 0;
    const learningRate = () => 1e-2 / step;
    const { plan, tensors } = await prepare(gpu, n, {
      learningRate,
      step: () => step,
      weightDecay,
      maxGradNorm,
      ...(maxBindingBytes ? { maxBindingBytes } : {}),
    });
    const parameter = Float64Array.from(randomArray(1, n));
    const first = new Float64Array(n);
    const second = new Float64Array(n);
    for (step = 1; step <= 5; step++) {
      // The first gradients are so small that eps counts.
      const gradient = randomArray(step + 1, n, step === 1 ? 1e-8 : 1);
      gpu.write(tensors.gradients, gradient);
      submit(gpu, [plan]);
      const clip = maxGradNorm === 0 ? 1 : clipCoefficient(globalNorm([gradient]), maxGradNorm);
      adamwStep(parameter, first, second, Float64Array.from(gradient, (g) => g * clip), {
        learningRate: learningRate(),
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weightDecay,
        step,
      });
      const expected = { parameters: parameter, firstMoment: first, secondMoment: second };
      for (const [role, values] of Object.entries(expected)) {
        const actual = await readTensor(gpu, tensors[role as keyof typeof tensors]);
        assertClose(actual, values, { tolerance: 2e-6, label: `${role} of ${n}, step ${step}` });
      }
    }
    plan.destroy();
  }
});

test.onDevices("adamw() takes every hyper-parameter", async (gpu) => {
  const n = 128;
  const settings = { learningRate: 0.03, beta1: 0.8, beta2: 0.95, eps: 0.1, weightDecay: 0.2 };
  const { plan, tensors } = await prepare(gpu, n, { ...settings, step: 7 });
  const gradient = randomArray(9, n);
  gpu.write(tensors.gradients, gradient);
  submit(gpu, [plan]);
  const parameter = Float64Array.from(randomArray(1, n));
  adamwStep(parameter, new Float64Array(n), new Float64Array(n), gradient, {
    ...settings,
    step: 7,
  });
  assertClose(await readTensor(gpu, tensors.parameters), parameter, { tolerance: 1e-6 });
  plan.destroy();
});

test.onDevices("adamw() changes nothing when the gradient norm is not finite", async (gpu) => {
  for (const maxGradNorm of [0, 1]) {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const n = 20_000;
      const { plan, tensors } = await prepare(gpu, n, { learningRate: 0.1, step: 1, maxGradNorm });
      const gradient = randomArray(2, n);
      gradient[12_345] = bad;
      gpu.write(tensors.gradients, gradient);
      submit(gpu, [plan]);
      assertEquals(await readTensor(gpu, tensors.parameters), randomArray(1, n));
      assertEquals(await readTensor(gpu, tensors.firstMoment), new Float32Array(n));
      assertEquals(await readTensor(gpu, tensors.secondMoment), new Float32Array(n));
      plan.destroy();
    }
  }
});

test.onDevices("adamw() refuses shapes and hyper-parameters out of range", async (gpu) => {
  const of = (n: number) => gpu.tensor([n]);
  const four = (n: number) => ({
    parameters: of(n),
    gradients: of(n),
    firstMoment: of(n),
    secondMoment: of(n),
    gradNorm: of(1),
  });
  const settings = { learningRate: 0.1, step: 1 };
  const record = (tensors: AdamwTensors) => adamw(new Plan(gpu, "p"), tensors, settings);
  assertThrows(() => record(four(6)), RangeError, "multiple of 4");
  assertThrows(() => record({ ...four(8), gradients: of(12) }), RangeError, "one length");
  assertThrows(() => record({ ...four(8), gradNorm: of(2) }), RangeError, "gradNorm [1]");
  const short = gpu.tensor([8], { dtype: "bf16" });
  assertThrows(() => record({ ...four(8), firstMoment: short }), RangeError, "or both in bf16");
  assertThrows(() => record({ ...four(8), gradients: short }), RangeError, "f32, bf16, f32, f32");
  for (
    const [wrong, message] of [
      [{ step: 0 }, "step"],
      [{ learningRate: -1 }, "learningRate"],
      [{ learningRate: NaN }, "learningRate"],
      [{ beta1: 1 }, "beta1"],
      [{ beta2: -0.1 }, "beta2"],
      [{ eps: NaN }, "eps"],
      [{ weightDecay: -1 }, "weightDecay"],
      [{ maxGradNorm: NaN }, "maxGradNorm"],
    ] as const
  ) {
    const { plan } = await prepare(gpu, 64, { ...settings, ...wrong });
    assertThrows(() => submit(gpu, [plan]), RangeError, message);
    plan.destroy();
  }
});

/** A float32 rounded to bfloat16 by a chance below 2^16, as bits. */
function ditheredBits(value: number, chance: number, ulps = 0): number {
  const [bits] = new Uint32Array(Float32Array.of(Math.abs(value)).buffer);
  return (value < 0 ? 0x8000 : 0) | ((Math.max(0, bits! + ulps) + chance) >>> 16);
}

test.onDevices("adamw() rounds moments in bf16 by the words it states, however the arrays are cut", async (gpu) => {
  for (const [n, maxBindingBytes] of [[4, 2 ** 20], [1004, 512], [1024, 512]] as const) {
    const [seed, step] = [2 ** 40 + 5, 3];
    const options = { learningRate: 0.1, step, seed, maxBindingBytes };
    const { plan, tensors } = await prepare(gpu, n, options, "bf16");
    // Numbers of 16 bits, so that what they become is known.
    const short = (values: Float32Array<ArrayBuffer>) =>
      new Float32Array(new Uint32Array(values.buffer).map((bits) => bits & 0xffff0000).buffer);
    const gradient = randomArray(2, n);
    gradient[1] = 0;
    const first = short(randomArray(3, n));
    const second = short(randomArray(4, n).map((v, i) => v * v * 10 ** (i % 60 - 30)));
    first[1] = second[1] = 0;
    gpu.write(tensors.gradients, gradient);
    gpu.write(tensors.firstMoment, first);
    gpu.write(tensors.secondMoment, second);
    assertEquals(await readTensor(gpu, tensors.secondMoment), second);
    const [m, v] = [Float64Array.from(first), Float64Array.from(second)];
    const parameter = Float64Array.from(randomArray(1, n));
    const hyper = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 };
    adamwStep(parameter, m, v, gradient, { ...hyper, step });
    submit(gpu, [plan]);
    // The step itself is taken by moments that were not rounded.
    assertClose(await readTensor(gpu, tensors.parameters), parameter, { tolerance: 2e-6 });
    const key = roundingKey(seed, step);
    for (const [which, tensor, exact] of [[0, "firstMoment", m], [1, "secondMoment", v]] as const) {
      const actual = await readTensor(gpu, tensors[tensor]) as Float32Array<ArrayBuffer>;
      const bits = new Uint32Array(actual.buffer);
      let decided = 0;
      for (let i = 0; i < n; i++) {
        const word = threefry2x32(...key, i >> 2, which)[i >> 1 & 1]!;
        const chance = i & 1 ? word >>> 16 : word & 0xffff;
        // Computed in float32, a moment may be some last places off.
        const [least, most] = [-16, 16].map((ulps) => ditheredBits(exact[i]!, chance, ulps));
        if (least === most) decided++;
        const got = bits[i]! >>> 16;
        assert(got === least || got === most, `${tensor} ${i} of ${n}: ${got}, not ${least}`);
      }
      assert(decided >= 0.99 * n - 1, `${decided} of ${n}`);
      assertEquals(actual[1], 0);
    }
    plan.destroy();
  }
});

test.onGpu("moments in bf16 follow those in float64 over hundreds of steps, down as well as up", async (gpu) => {
  const n = 1024;
  let step = 0;
  const settings = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
  const { plan, tensors } = await prepare(gpu, n, { ...settings, step: () => step }, "bf16");
  const [parameter, first, second] = [
    Float64Array.from(randomArray(1, n)),
    new Float64Array(n),
    new Float64Array(n),
  ];
  /** Means over all numbers of the ratio of bf16 to float64 second moments, and of its squared distance from 1. */
  const drift = async () => {
    const actual = await readTensor(gpu, tensors.secondMoment);
    const ratios = Array.from(actual, (v, i) => v / second[i]!);
    const mean = ratios.reduce((sum, r) => sum + r, 0) / n;
    return [mean, Math.sqrt(ratios.reduce((sum, r) => sum + (r - 1) ** 2, 0) / n)] as const;
  };
  // Gradients that become ten times smaller, then ten times larger again.
  for (const scale of [1, 0.1, 1]) {
    for (const end = step + 300; step < end;) {
      step++;
      const gradient = randomArray(step, n, scale);
      gpu.write(tensors.gradients, gradient);
      submit(gpu, [plan]);
      adamwStep(parameter, first, second, gradient, { ...settings, step });
    }
    const [mean, deviation] = await drift();
    assert(Math.abs(mean - 1) < 0.01, `second moments are ${mean} of float64's at step ${step}`);
    assert(deviation < 0.08, `second moments deviate by ${deviation} at step ${step}`);
  }
  const start = randomArray(1, n);
  const rms = (difference: (i: number) => number) =>
    Math.hypot(...Array.from(start, (_, i) => difference(i))) / Math.sqrt(n);
  const actual = await readTensor(gpu, tensors.parameters);
  const [off, moved] = [
    rms((i) => actual[i]! - parameter[i]!),
    rms((i) => parameter[i]! - start[i]!),
  ];
  assert(off < 0.02 * moved, `parameters moved by ${moved} and are off by ${off}`);
  plan.destroy();
});
