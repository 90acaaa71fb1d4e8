import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import type { Gpu } from "../../src/gpu/device.ts";
import { SafetensorsFile } from "../../src/files/safetensors_file.ts";
import type { PolicyConfigOptions } from "../../src/model/config.ts";
import type { StoredDType } from "../../src/model/policy_weights.ts";
import { Policy } from "../../src/model/policy.ts";
import type { Task } from "../../src/task/task.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import {
  type Checkpointable,
  restoreTrainer,
  saveTrainerCheckpoint,
} from "../../src/run/trainer_checkpoint.ts";
import { changedOptions, readTrainerState } from "../../src/run/trainer_state.ts";
import { chainSum, parity } from "../../src/tasks/mod.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";

/** Rewards that a policy with random weights earns now and then, so that every step changes it. */
const TASK: Task = { ...parity(), verify: (_, completionIds) => completionIds.length % 2 };

const SHAPE: PolicyConfigOptions = {
  vocabSize: TASK.vocabulary.length,
  hiddenSize: 16,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  intermediateSize: 32,
  eosTokenId: TASK.eosTokenId,
};

const OPTIONS: TrainOptions = {
  maxSteps: 4,
  learningRate: 1e-2,
  promptsPerStep: 2,
  numGenerations: 8,
  evalPrompts: 4,
};

const FILES = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "optimizer.safetensors",
];

/** Runs `use` with a trainer of a policy with random weights. */
async function withTrainer<T>(
  gpu: Gpu,
  use: (trainer: Trainer) => Promise<T>,
  { options = {}, shape = {}, task = TASK, seed = 7, dtype = "f32", cacheDtype = dtype }: {
    options?: Partial<TrainOptions>;
    shape?: Partial<PolicyConfigOptions>;
    task?: Task;
    seed?: number;
    dtype?: StoredDType;
    cacheDtype?: StoredDType;
  } = {},
): Promise<T> {
  const policy = Policy.create(gpu, { ...SHAPE, ...shape }, { seed, dtype, cacheDtype });
  const trainer = await Trainer.create(policy, task, { ...OPTIONS, ...options });
  try {
    return await use(trainer);
  } finally {
    trainer.destroy();
    policy.destroy();
  }
}

async function train(trainer: Trainer, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) await trainer.next();
}

async function bytesOf(dir: string): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const { name } of Deno.readDirSync(dir)) files[name] = await Deno.readFile(join(dir, name));
  return files;
}

// One device for all steps, so that kernels are compiled once.
test.onGpu("checkpoints of a trainer", async (gpu, t) => {
  const step = (name: string, test: (dir: string) => Promise<void>) =>
    t.step(name, () => inTempDir(test));

  await step("are read from the device a tensor at a time", async (dir) => {
    await withTrainer(gpu, async (trainer) => {
      const { policy: { trained }, optimizer } = trainer;
      const flat = [trained.values, optimizer.firstMoment, optimizer.secondMoment];
      const labels = flat.map(({ name }) => `readback ${name}`);
      const sizes: number[] = [];
      const { createBuffer } = gpu;
      gpu.createBuffer = (size, usage, label) => {
        if (labels.includes(label)) sizes.push(size);
        return createBuffer.call(gpu, size, usage, label);
      };
      await saveTrainerCheckpoint(join(dir, "checkpoint"), trainer);
      gpu.createBuffer = createBuffer;
      // They were read whole, which took two more copies of each on the host.
      assertEquals(sizes.length, flat.length * trained.names.length);
      const largest = Math.max(...trained.names.map((name) => trained.range(name).length));
      assertEquals(Math.max(...sizes), 4 * largest);
      assert(largest < trained.values.length / 4);
    });
  });

  await step(
    "are not taken in the middle of a step, which leaves that before in place",
    async (dir) => {
      const path = join(dir, "checkpoint");
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      await withTrainer(gpu, async (trainer) => {
        await saveTrainerCheckpoint(path, trainer);
        const before = await bytesOf(path);
        const { optimizer } = trainer;
        const { advance } = optimizer;
        // Between the optimizer's step and the end of the trainer's.
        optimizer.advance = function () {
          advance.call(optimizer);
          begin();
        };
        const first = trainer.next();
        await begun;
        const refused = (of: Checkpointable) =>
          assertRejects(() => saveTrainerCheckpoint(path, of), Error, "training went on");
        await refused(trainer);
        await first;
        // A step that ends while the files are written.
        const { policy, task, options, reference, nextProblem } = trainer;
        let steps = 1;
        await refused({
          ...{ policy, task, options, reference, optimizer, nextProblem },
          get completedSteps() {
            return steps++;
          },
          set completedSteps(value) {
            steps = value;
          },
        });
        await trainer.next();
        assertEquals(await bytesOf(path), before);
        assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["checkpoint"]);
        await saveTrainerCheckpoint(path, trainer);
        assertEquals((await readTrainerState(path)).completedSteps, 2);
      });
    },
  );

  for (
    const [beta, dtype, optimizerDtype] of [
      [0, "f32", "f32"],
      [0.1, "f32", "bf16"],
      [0.1, "f16", "f32"],
    ] as const
  ) {
    const what = `${beta === 0 ? "without" : "with"} a reference policy, in ${dtype}, ` +
      `moments in ${optimizerDtype}`;
    await step(`4 steps are 2 steps, a checkpoint and 2 steps, ${what}`, async (dir) => {
      const [half, whole, resumed] = ["half", "whole", "resumed"].map((name) => join(dir, name));
      const options = { beta, optimizerDtype };
      await withTrainer(gpu, async (trainer) => {
        await train(trainer, 2);
        await saveTrainerCheckpoint(half!, trainer);
        await train(trainer, 2);
        await saveTrainerCheckpoint(whole!, trainer);
      }, { options, dtype });
      await withTrainer(gpu, async (trainer) => {
        // What the trainer was before must not matter.
        await train(trainer, 1);
        const state = await restoreTrainer(half!, trainer);
        assertEquals([state.completedSteps, trainer.completedSteps], [2, 2]);
        assertEquals(trainer.optimizer.stepCount, state.optimizerSteps);
        assert(state.optimizerSteps > 0);
        await train(trainer, 2);
        await saveTrainerCheckpoint(resumed!, trainer);
      }, { options, dtype, seed: 8 });
      const expected = await bytesOf(whole!);
      assertEquals("reference.safetensors" in expected, beta > 0);
      assertEquals(await bytesOf(resumed!), expected);
      using file = await SafetensorsFile.open(join(whole!, "optimizer.safetensors"));
      const formats = new Set(file.names.map((name) => file.info(name).dtype));
      assertEquals([...formats], [optimizerDtype === "f32" ? "F32" : "BF16"]);
      const before = await bytesOf(half!);
      assertNotEquals(before["model.safetensors"], expected["model.safetensors"]);
      assertNotEquals(before["optimizer.safetensors"], expected["optimizer.safetensors"]);
    });
  }

  await step(
    "problems go on where dynamic sampling stopped, also for checkpoints that do not say where",
    async (dir) => {
      const asked: number[] = [];
      const task: Task = {
        ...TASK,
        problem(split, seed, index) {
          asked.push(index);
          return TASK.problem(split, seed, index);
        },
      };
      const options = { dynamicSampling: true, maxGenBatches: 5 };
      const ask = (trainer: Trainer, steps: number) => {
        asked.length = 0;
        return train(trainer, steps).then(() => [...asked]);
      };
      const saved = join(dir, "saved");
      const rest = await withTrainer(gpu, async (trainer) => {
        const first = await ask(trainer, 2);
        await saveTrainerCheckpoint(saved, trainer);
        const rest = await ask(trainer, 2);
        assertEquals([...first, ...rest], Array.from([...first, ...rest], (_, i) => i));
        return rest;
      }, { options, task });
      await withTrainer(gpu, async (trainer) => {
        await restoreTrainer(saved, trainer);
        assertEquals(await ask(trainer, 2), rest);
      }, { options, task });

      const path = join(saved, "trainer_state.json");
      const { nextProblem: _, ...older } = JSON.parse(await Deno.readTextFile(path));
      await Deno.writeTextFile(path, JSON.stringify(older));
      await withTrainer(gpu, async (trainer) => {
        await restoreTrainer(saved, trainer);
        assertEquals((await ask(trainer, 1))[0], 2 * 5 * OPTIONS.promptsPerStep!);
      }, { options, task });
    },
  );

  await step(
    "a checkpoint is a Hugging Face folder, with the moments under PyTorch's names",
    async (dir) => {
      const path = join(dir, "checkpoint");
      await withTrainer(gpu, async (trainer) => {
        await train(trainer, 2);
        await saveTrainerCheckpoint(path, trainer);
        const policy = await Policy.load(gpu, path);
        assertEquals(await policy.parameters.read(), await trainer.policy.parameters.read());
        policy.destroy();
      });
      const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
      assertEquals(names, [...FILES, "trainer_state.json"].sort());
      const state = await readTrainerState(path);
      assertEquals(state.task.name, "parity");
      assertEquals(state.options.seed, 42);
      assertEquals(Object.keys(state.files), FILES);
    },
  );

  await step("how a run is measured and how large its steps are may change", async (dir) => {
    const path = join(dir, "checkpoint");
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer));
    const options = {
      maxSteps: 9,
      evalSteps: 3,
      evalPrompts: 2,
      numGenerationsEval: 2,
      maxTokensPerMicroBatch: 64,
      activationDtype: "f16" as const,
      learningRate: 1e-3,
      weightDecay: 0.1,
      maxGradNorm: 2,
    };
    await withTrainer(gpu, async (trainer) => {
      const state = await restoreTrainer(path, trainer);
      const changed = changedOptions(state, trainer.options);
      assertEquals(Object.keys(changed).sort(), Object.keys(options).sort());
      assertEquals(changed.learningRate, { from: 1e-2, to: 1e-3 });
    }, { options });
  });

  await step("a checkpoint of matrices stored in another way is refused", async (dir) => {
    const path = join(dir, "checkpoint");
    const refused = (dtype: StoredDType, message: string, cacheDtype = dtype) =>
      withTrainer(gpu, async (trainer) => {
        await assertRejects(() => restoreTrainer(path, trainer), RangeError, message);
      }, { dtype, cacheDtype });
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer), { dtype: "f16" });
    assertEquals((await readTrainerState(path)).dtype, "f16");
    await refused("f32", "dtype is f32 and was f16");
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer));
    await refused("f16", "dtype is f16 and was f32");
    await refused("f32", "cacheDtype is bf16 and was f32", "bf16");
  });

  await step("moments stored in another way are refused, by setting and by file", async (dir) => {
    const path = join(dir, "checkpoint");
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer));
    await withTrainer(gpu, async (trainer) => {
      await assertRejects(
        () => restoreTrainer(path, trainer),
        RangeError,
        "other settings: optimizerDtype is bf16 and was f32",
      );
      // A file that is not what the state says it goes with.
      const { policy, task, optimizer, completedSteps, nextProblem } = trainer;
      const parts = { policy, task, optimizer, completedSteps, nextProblem };
      const options = { ...trainer.options, optimizerDtype: "f32" as const };
      await saveTrainerCheckpoint(path, { ...parts, options });
    }, { options: { optimizerDtype: "bf16" } });
    await withTrainer(gpu, async (trainer) => {
      const before = await trainer.policy.parameters.read();
      await assertRejects(
        () => restoreTrainer(path, trainer),
        RangeError,
        "is BF16 instead of F32",
      );
      assertEquals(await trainer.policy.parameters.read(), before);
    });
  });

  await step("a checkpoint of something else is refused by name and reason", async (dir) => {
    const path = join(dir, "checkpoint");
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer));
    const refused: [Parameters<typeof withTrainer>[2], string][] = [
      [{ task: chainSum(), shape: { vocabSize: 32 } }, "of the task parity, not of chain-sum"],
      [{ task: parity({ maxBits: 12 }) }, "of the task parity with other options"],
      [{ options: { lossAlpha: 0.75 } }, "other settings: lossAlpha is 0.75 and was 1"],
      [
        { options: { epsilon: 0.1 } },
        "epsilon is 0.1 and was 0.2; epsilonHigh is 0.1 and was 0.28",
      ],
      [
        { options: { seed: 1, lossAggregation: "grpo" } },
        "seed is 1 and was 42; lossAggregation is grpo and was deltaL",
      ],
      [{ shape: { hiddenSize: 32 } }, "another shape: hiddenSize is 32 and was 16"],
      [{ shape: { numHiddenLayers: 2 } }, "numHiddenLayers is 2 and was 1"],
    ];
    for (const [other, reason] of refused) {
      await withTrainer(gpu, async (trainer) => {
        const before = await trainer.policy.parameters.read();
        const error = await assertRejects(() => restoreTrainer(path, trainer), RangeError, reason);
        assert(error.message.startsWith(path), error.message);
        assertEquals(await trainer.policy.parameters.read(), before);
      }, other);
    }
  });

  await step("the end of a cosine cannot be moved", async (dir) => {
    const path = join(dir, "checkpoint");
    const options = { lrScheduler: "cosine" } as const;
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer), { options });
    await withTrainer(gpu, async (trainer) => {
      await assertRejects(
        () => restoreTrainer(path, trainer),
        RangeError,
        "maxSteps is 9 and was 4",
      );
    }, { options: { ...options, maxSteps: 9 } });
  });

  await step("a damaged checkpoint is refused, whichever file it is", async (dir) => {
    const path = join(dir, "checkpoint");
    await withTrainer(gpu, async (trainer) => {
      await saveTrainerCheckpoint(path, trainer);
      const good = await bytesOf(path);
      for (const name of FILES) {
        const file = join(path, name);
        const bytes = good[name]!;
        const flipped = bytes.slice();
        flipped[flipped.length - 2]! ^= 1;
        for (const damaged of [flipped, bytes.subarray(0, -1), new Uint8Array(0)]) {
          await Deno.writeFile(file, damaged);
          const error = await assertRejects(() => restoreTrainer(path, trainer), RangeError);
          assert(error.message.includes(`${path} is damaged: ${name}`), error.message);
        }
        await Deno.remove(file);
        await assertRejects(
          () => restoreTrainer(path, trainer),
          Deno.errors.NotFound,
          `its ${name} is gone`,
        );
        await Deno.writeFile(file, bytes);
      }
      await restoreTrainer(path, trainer);
    });
  });

  await step("a damaged trainer_state.json is refused, whichever field it is", async (dir) => {
    const path = join(dir, "checkpoint");
    await withTrainer(gpu, (trainer) => saveTrainerCheckpoint(path, trainer));
    const file = join(path, "trainer_state.json");
    const good = JSON.parse(await Deno.readTextFile(file));
    const damages: [Record<string, unknown> | string, string][] = [
      ["", "is not valid JSON"],
      ["{", "is not valid JSON"],
      ["[]", "does not hold a JSON object"],
      [{ format: "something else" }, "format is"],
      [{ formatVersion: 2 }, "has formatVersion 2"],
      [{ completedSteps: -1 }, "completedSteps is -1"],
      [{ completedSteps: 1.5 }, "completedSteps is 1.5"],
      [{ optimizerSteps: "3" }, 'optimizerSteps is "3"'],
      [{ task: "parity" }, 'task is "parity"'],
      [{ options: null }, "options is null"],
      [{ files: {} }, "files is {}"],
      [{ files: { ...good.files, "../x": "0" } }, "not a digest of each file"],
      [{ adapter: 1 }, "adapter is 1"],
      [{ version: null }, "version is null"],
    ];
    for (const [damage, reason] of damages) {
      const text = typeof damage === "string" ? damage : JSON.stringify({ ...good, ...damage });
      await Deno.writeTextFile(file, text);
      const error = await assertRejects(() => readTrainerState(path), Error, reason);
      assert(error.message.startsWith(file), error.message);
    }
    await Deno.remove(file);
    await assertRejects(() => readTrainerState(path), Deno.errors.NotFound, "trainer_state.json");
  });

  await step("a checkpoint that cannot be written leaves the one before", async (dir) => {
    const path = join(dir, "checkpoint");
    await withTrainer(gpu, async (trainer) => {
      await saveTrainerCheckpoint(path, trainer);
      const good = await bytesOf(path);
      const { parameters } = trainer.policy;
      const norm = (await parameters.read()).get("model.norm.weight")!;
      parameters.write("model.norm.weight", norm.map((value, i) => i === 3 ? NaN : value));
      await assertRejects(
        () => saveTrainerCheckpoint(path, trainer),
        RangeError,
        "model.norm.weight holds NaN at element 3",
      );
      assertEquals(await bytesOf(path), good);
      assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["checkpoint"]);
    });
  });

  gpu.check();
});

test.onGpu("a run with adapters that was stopped goes on with the same bytes; its checkpoint is PEFT's folder", async (gpu) => {
  await inTempDir(async (dir) => {
    const model = join(dir, "model");
    const source = Policy.create(gpu, SHAPE, { seed: 3 });
    await source.save(model);
    source.destroy();
    const storage = { dtype: "f16", trainable: false } as const;
    const begin = async (from: string) => {
      const policy = await Policy.load(gpu, from, storage);
      return await Trainer.create(policy, TASK, { ...OPTIONS, loraRank: 2, beta: 0.1 });
    };
    const undisturbed = await begin(model);
    await train(undisturbed, 4);
    const expected = await undisturbed.policy.parameters.adapters!.read();

    const stopped = await begin(model);
    await train(stopped, 2);
    const checkpoint = join(dir, "checkpoint");
    await saveTrainerCheckpoint(checkpoint, stopped);
    assertEquals(Object.keys(await bytesOf(checkpoint)).sort(), [
      "adapter_config.json",
      "adapter_model.safetensors",
      "optimizer.safetensors",
      "trainer_state.json",
    ]);
    const resumed = await begin(checkpoint);
    await restoreTrainer(checkpoint, resumed);
    await train(resumed, 2);
    assertEquals(await resumed.policy.parameters.adapters!.read(), expected);
    for (const trainer of [undisturbed, stopped, resumed]) {
      trainer.destroy();
      trainer.policy.destroy();
    }
  });
});
