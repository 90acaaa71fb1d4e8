import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { adamw, type AdamwOptions, type AdamwTensors } from "../../src/ops/adamw.ts";
import { gradNorm } from "../../src/ops/grad_norm.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { onEveryDevice } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { adamwStep, clipCoefficient, globalNorm } from "../reference/adamw.ts";

/** Flat arrays of `n` with random parameters, and a plan that computes the norm and updates. */
async function prepare(
  gpu: Gpu,
  n: number,
  options: AdamwOptions,
): Promise<{ plan: Plan; tensors: Omit<AdamwTensors, "gradNorm"> }> {
  const tensors = {
    parameters: gpu.tensor([n], { data: randomArray(1, n), name: "parameters" }),
    gradients: gpu.tensor([n], { name: "gradients" }),
    firstMoment: gpu.tensor([n], { name: "firstMoment" }),
    secondMoment: gpu.tensor([n], { name: "secondMoment" }),
  };
  const plan = new Plan(gpu, "update");
  adamw(plan, { ...tensors, gradNorm: gradNorm(plan, tensors.gradients) }, options);
  await plan.compile();
  return { plan, tensors };
}

Deno.test("adamw() follows PyTorch's update over several steps, with and without clipping", async (t) => {
  await onEveryDevice(t, async (gpu) => {
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
});

Deno.test("adamw() takes every hyper-parameter", async (t) => {
  await onEveryDevice(t, async (gpu) => {
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
});

Deno.test("adamw() changes nothing when the gradient norm is not finite", async (t) => {
  await onEveryDevice(t, async (gpu) => {
    for (const maxGradNorm of [0, 1]) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const n = 20_000;
        const { plan, tensors } = await prepare(gpu, n, {
          learningRate: 0.1,
          step: 1,
          maxGradNorm,
        });
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
});

Deno.test("adamw() refuses shapes and hyper-parameters out of range", async (t) => {
  await onEveryDevice(t, async (gpu) => {
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
});
