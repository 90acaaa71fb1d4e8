import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { resolveConfig } from "../../src/model/config.ts";
import { Policy } from "../../src/model/policy.ts";
import {
  hasWarmStart,
  saveWarmStart,
  taskOfWarmStart,
  warmStartKey,
  type WarmStartRecipe,
} from "../../src/run/warm_start_cache.ts";
import { parity } from "../../src/tasks/mod.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";

const RECIPE: WarmStartRecipe = {
  task: parity(),
  policy: resolveConfig({
    vocabSize: 7,
    hiddenSize: 8,
    numHiddenLayers: 1,
    numAttentionHeads: 2,
    intermediateSize: 16,
  }),
  steps: 3,
  batchSize: 4,
  learningRate: 1e-3,
  seed: 42,
};

Deno.test("every setting of a warm start is in its key", () => {
  const key = warmStartKey(RECIPE);
  assertEquals(key, warmStartKey({ ...RECIPE, task: parity() }));
  assertEquals(key.replace(/[0-9a-f]{8}$/, ""), "parity-8x1-3x4-seed42-");
  const others: Partial<WarmStartRecipe>[] = [
    { task: parity({ stepNoise: 0.1 }) },
    { policy: { ...RECIPE.policy, ropeTheta: 5000 } },
    { steps: 4 },
    { batchSize: 5 },
    { learningRate: 2e-3 },
    { seed: 43 },
    { numbers: "0123456789abcdef" },
    { kernels: { linear: "tiled" } },
    { maxTokensPerMicroBatch: 1024 },
    { activationCheckpointing: true },
  ];
  for (const other of others) assertNotEquals(warmStartKey({ ...RECIPE, ...other }), key);
});

test.onGpu("a kept warm start is found again, another or a damaged one refused", async (gpu) => {
  await inTempDir(async (parent) => {
    const dir = join(parent, "warm");
    assertEquals(await hasWarmStart(dir, RECIPE), false);
    assertEquals(await taskOfWarmStart(dir), undefined);
    const policy = Policy.create(gpu, RECIPE.policy, { seed: 1 });
    await saveWarmStart(dir, RECIPE, policy, 0.5);
    assertEquals(await hasWarmStart(dir, RECIPE), true);
    assertEquals(await taskOfWarmStart(dir), "parity");
    const loaded = await Policy.load(gpu, dir);
    assertEquals(await loaded.parameters.read(), await policy.parameters.read());
    loaded.destroy();
    policy.destroy();

    await assertRejects(
      () => hasWarmStart(dir, { ...RECIPE, steps: 4 }),
      RangeError,
      "with other settings (steps)",
    );
    await assertRejects(
      () => hasWarmStart(dir, { ...RECIPE, numbers: "0123456789abcdef" }),
      RangeError,
      "made on another device",
    );
    const weights = join(dir, "model.safetensors");
    const bytes = await Deno.readFile(weights);
    bytes[bytes.length - 1]! ^= 1;
    await Deno.writeFile(weights, bytes);
    await assertRejects(() => hasWarmStart(dir, RECIPE), RangeError, "is damaged");
    await Deno.remove(weights);
    await assertRejects(() => hasWarmStart(dir, RECIPE), RangeError, "is damaged");
  });
});
