import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Generator } from "../../src/model/generate.ts";
import type { Policy } from "../../src/model/policy.ts";
import { add } from "../../src/ops/general/add.ts";
import { AdamW } from "../../src/optim/adamw_optimizer.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { WarmStart } from "../../src/rl/warm_start.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";
import { withoutRoomFor } from "../helpers/without_room.ts";

const GONE = "released";
const options = { maxSteps: 2, learningRate: 1e-3, promptsPerStep: 2, numGenerations: 2 };
const WRONG = { name: "wrong", surrogate: { loss: "-advantage * ratio", dLogProb: "advantage" } };
const batch = {
  prompts: [[2]],
  completions: [[3], [4]],
  rewards: [0, 1],
  oldLogProbs: [[-2], [-2]],
  refLogProbs: [[-2], [-2]],
};

test.onGpu("memory that was released is named where it is used, and the device stays usable", async (gpu) => {
  const [x, y] = [1, 2].map((value) =>
    gpu.tensor([2], { data: [value, value], name: `x${value}` })
  );
  const plan = new Plan(gpu, "sum");
  const sum = plan.keep(add(plan, x!, y!));
  await plan.compile();
  submit(gpu, [plan]);
  const readback = new Readback(gpu, [x!]);
  gpu.destroyTensor(x!);

  const gone = (use: () => unknown) => assertThrows(use, Error, "x1 was released");
  gone(() => gpu.write(x!, [1]));
  gone(() => submit(gpu, [{ clear: x! }]));
  gone(() => submit(gpu, [{ copy: x!, to: y! }]));
  gone(() => submit(gpu, [{ copy: y!, to: x! }]));
  gone(() => submit(gpu, [], readback));
  gone(() => submit(gpu, [plan]));
  await assertRejects(() => readTensor(gpu, x!), Error, "x1 was released");
  const later = new Plan(gpu, "later");
  later.keep(add(later, x!, y!));
  await assertRejects(() => later.compile(), Error, "x1 was released");
  later.destroy();

  readback.destroy();
  assertThrows(() => submit(gpu, [], readback), Error, GONE);
  plan.destroy();
  assertThrows(() => submit(gpu, [plan]), Error, "Plan sum was destroyed");
  await assertRejects(() => readTensor(gpu, sum), Error, GONE);
  await gpu.finish();
  assertEquals([...await readTensor(gpu, y!)], [2, 2]);
});

test.onGpu("a policy, trainer or optimizer says that it was destroyed and takes no memory", async (gpu) => {
  const task = tinyTask();
  const other = tinyPolicy(gpu, task);
  const answer = await other.generate([[2]], { maxCompletionLength: 2 });
  const { buffers } = gpu;
  await inTempDir(async (dir) => {
    const policy = tinyPolicy(gpu, task);
    await policy.generate([[2]], { maxCompletionLength: 2 });
    const optimizer = await AdamW.create(gpu, policy.parameters, { learningRate: 1e-3 });
    const trainer = await Trainer.create(policy, task, options);
    const generator = await policy.generator({
      promptTokens: 2,
      sequences: 2,
      completionLength: 4,
    });
    const request = policy.request([[2]], { maxCompletionLength: 2 });
    // While it runs, and while it is being made.
    const running = Promise.allSettled([
      policy.generate([[2]], { maxCompletionLength: 32, eosTokenIds: [] }),
      policy.generator({ promptTokens: 2, sequences: 3, completionLength: 4 }),
      trainer.next(),
    ]);
    trainer.destroy();
    optimizer.destroy();
    generator.destroy();
    policy.destroy();
    for (const result of await running) {
      assertEquals(
        [result.status, String((result as PromiseRejectedResult).reason).includes(GONE)],
        [
          "rejected",
          true,
        ],
      );
    }
    const gone = (use: () => Promise<unknown>) => assertRejects(use, Error, GONE);
    await gone(() => policy.generate([[2]], { maxCompletionLength: 2 }));
    await gone(() => policy.generate([[2], [3]], { maxCompletionLength: 9 }));
    await gone(() => policy.score([[2]], [[3]]));
    await gone(() => policy.logits([[2]]));
    await gone(() => policy.save(dir));
    assertEquals([...Deno.readDirSync(dir)].filter(({ name }) => name.endsWith("safetensors")), []);
    await gone(() => generator.run(request));
    await gone(() => trainer.next());
    await gone(() => trainer.evaluate());
    await gone(() => Trainer.create(policy, task, options));
    assertThrows(() => submit(gpu, [optimizer.plan]), Error, "Plan optimizer was destroyed");
  });
  await gpu.finish();
  assertEquals(gpu.buffers, buffers);
  assertEquals(await other.generate([[2]], { maxCompletionLength: 2 }), answer);
  other.destroy();
});

/** Fails whatever creates the n-th buffer from now on; returns whether anything did. */
async function atBuffer(gpu: Gpu, n: number, make: () => Promise<unknown>): Promise<boolean> {
  const { memory } = gpu;
  const create = memory.create;
  let count = 0;
  memory.create = function (...given) {
    if (count++ === n) throw new RangeError("no room");
    return create.apply(memory, given);
  };
  try {
    await make();
    return false;
  } catch (error) {
    assertEquals((error as Error).message.includes("no room"), true, String(error));
    return true;
  } finally {
    memory.create = create;
  }
}

test.onGpu("what cannot be made for want of memory leaves none behind", async (real) => {
  const gpu = real.rehearsal();
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const lora = { ...options, loraRank: 2, beta: 0.1 };
  const makers: Record<string, () => Promise<{ destroy(): void } | unknown>> = {
    "Policy.create": async () => await tinyPolicy(gpu, task, 0, { dtype: "f16" }),
    addAdapters: async () => {
      await policy.addAdapters({ rank: 2 });
      policy.removeAdapters();
    },
    AdamW: () => AdamW.create(gpu, policy.parameters, { learningRate: 1e-3 }),
    Generator: () =>
      Generator.create(gpu, policy.parameters, {
        promptTokens: 9,
        sequences: 9,
        completionLength: 9,
        truncates: true,
      }),
    score: () => policy.score([[2]], [[3]]),
    logits: () => policy.logits([[2]]),
    policyGradient: () => policyGradient(policy, batch, { numGenerations: 2, beta: 0.1 }),
    WarmStart: () => WarmStart.create(policy, task, { steps: 1, batchSize: 2, learningRate: 1e-3 }),
    Trainer: () => Trainer.create(policy, task, { ...options, beta: 0.1, dynamicSampling: true }),
    "Trainer with LoRA": () => Trainer.create(policy, task, lora),
  };
  // Taken once and kept.
  await policy.score([[2]], [[3]]);
  policy.parameters.requireGradients();
  for (const [name, make] of Object.entries(makers)) {
    const { buffers } = gpu;
    let n = 0;
    while (await atBuffer(gpu, n, async () => (await make() as Policy | undefined)?.destroy?.())) {
      n++;
      assertEquals(gpu.buffers, buffers, `${name}, buffer ${n}`);
      assertEquals(policy.parameters.adapters, undefined, name);
    }
    assertEquals(n > 0, true, name);
    policy.removeAdapters();
  }
  await gpu.close();
});

test.onGpu("what cannot be made for its settings leaves no memory behind", async (gpu) => {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  await policy.score([[2]], [[3]]);
  policy.parameters.requireGradients();
  const { buffers } = gpu;
  const lora = { ...options, loraRank: 2, beta: 0.1 };
  const refused = async (make: () => Promise<unknown>, message: string) => {
    await assertRejects(make, RangeError, message);
    assertEquals(gpu.buffers, buffers);
    assertEquals(policy.parameters.adapters, undefined);
  };
  await refused(
    () => policyGradient(policy, batch, { numGenerations: 2, objective: WRONG }),
    "dLogProb is",
  );
  await refused(
    () => Trainer.create(policy, task, { ...options, objective: WRONG }),
    "dLogProb is",
  );
  await refused(() => Trainer.create(policy, task, { ...lora, objective: WRONG }), "dLogProb is");
  await refused(() => Trainer.create(policy, task, { ...lora, refSyncSteps: 1 }), "refSyncSteps");
  policy.destroy();
});

test.onGpu("where there is no room for a buffer its name is told, and who destroys it goes on", async (gpu) => {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const answer = await policy.generate([[2]], { maxCompletionLength: 2 });
  policy.parameters.requireGradients();
  const { buffers } = gpu;
  const message = /has no room for optimizer\.exp_avg of 0\.\d MiB, with \d+\.\d MiB in use/;
  const end = withoutRoomFor(gpu, (label) => label === "optimizer.exp_avg");
  const error = await assertRejects(() => Trainer.create(policy, task, options), Error);
  assertMatch(error.message, message);
  assertEquals(gpu.buffers, buffers);
  // Of one that nobody has destroyed every call tells.
  const tensor = gpu.tensor([4], { name: "optimizer.exp_avg" });
  await gpu.memory.settle();
  const told = assertThrows(() => gpu.tensor([4]), Error);
  assertMatch(told.message, message);
  await assertRejects(() => policy.score([[2]], [[3]]), Error, "has no room");
  end();
  gpu.destroyTensor(tensor);
  assertEquals(await policy.generate([[2]], { maxCompletionLength: 2 }), answer);
  const trainer = await Trainer.create(policy, task, options);
  assertEquals((await trainer.next()).step, 1);
  trainer.destroy();
  policy.destroy();
});
