import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { makeFolder } from "../../src/cli/folders.ts";
import type { Interrupt } from "../../src/cli/interrupt.ts";
import { warmStartRecipe } from "../../src/cli/policy_source.ts";
import { newPolicyConfig } from "../../src/cli/policy_size.ts";
import { standardError } from "../../src/cli/progress.ts";
import { warmPolicy } from "../../src/cli/warm_policy.ts";
import { fileExists, readJsonObject } from "../../src/files/json_file.ts";
import { parity } from "../../src/tasks/parity.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";
import { TINY_POLICY, TINY_RUN } from "../helpers/tiny_run.ts";

test.onGpu("a warm start that Ctrl-C stops leaves no folder behind", async (gpu) => {
  await inTempDir(async (dir) => {
    const task = parity();
    const config = newPolicyConfig(task, { hiddenSize: 16, numHiddenLayers: 1 });
    const recipe = warmStartRecipe({ warmStartSteps: 2, warmStartBatchSize: 2 }, task, config, 1);
    let looks = 0;
    const requested = () => Promise.resolve(looks++ === 1); // in the second step
    const interrupt = { requested } as unknown as Interrupt;
    const tools = { output: standardError(true), interrupt };
    const out = join(dir, "runs", "warm-start", "parity");
    assertEquals(await warmPolicy(gpu, recipe, tools, out), undefined);
    assertEquals([...Deno.readDirSync(dir)], []);
    const made = await warmPolicy(gpu, recipe, tools, out);
    made!.policy.destroy();
    assert(await fileExists(join(out, "warm_start.json")));
  });
});

test.inDir("a folder that stays empty goes, one with something in it or that was there stays", async (dir) => {
  await Deno.mkdir(join(dir, "a"));
  for (const filled of [false, true]) {
    {
      await using _folder = await makeFolder(join(dir, "a", "b", "c"));
      assert(await fileExists(join(dir, "a", "b", "c")));
      if (filled) await Deno.writeTextFile(join(dir, "a", "b", "c", "x"), "x");
    }
    assertEquals([...Deno.readDirSync(join(dir, "a"))].length, filled ? 1 : 0);
  }
});

test.inDir("a warm start keeps to --memory-budget, says how, and is found again by the same budget", async (dir) => {
  // A batch that fills more than one pass.
  const large = TINY_RUN.map((flag) => flag.replace(/(batch-size)=.*/, "$1=256"));
  const begin = [...large, "--max-steps=0", "--no-report"];
  const train = (...flags: string[]) => runInProcess(dir, "train", ...begin, ...flags);
  const saved = async (stdout: string) => {
    const [, how, folder] = /^warm start (found|made): (.*)$/m.exec(stdout)!;
    const { recipe } = await readJsonObject(join(dir, folder!, "warm_start.json"));
    const { maxTokensPerMicroBatch, activationCheckpointing } = recipe as Record<string, unknown>;
    return [how, maxTokensPerMicroBatch, activationCheckpointing];
  };
  const { code, stdout, stderr } = await train("--memory-budget=4MiB");
  assertEquals(code, 0, stderr);
  assertMatch(
    stdout,
    /^the warm start needs \d\.\d MiB of GPU memory: .*, with maxTokensPerMicroBatch 1024 to fit into 4\.0 MiB$/m,
  );
  assertEquals(await saved(stdout), ["made", 1024, undefined]);
  assertEquals(await saved((await train("--memory-budget=4MiB")).stdout), [
    "found",
    1024,
    undefined,
  ]);
  // The key of one without a budget is what it was.
  assertEquals(await saved((await train()).stdout), ["made", undefined, undefined]);

  const fit = (...flags: string[]) =>
    runInProcess(dir, "warm-start", ...TINY_POLICY, "--memory-budget=100KiB", ...flags);
  const refused = await fit();
  assertEquals(refused.code, 2);
  assertMatch(
    refused.stderr,
    /--memory-budget is 100\.0 KiB, and the warm start needs 0\.\d MiB with maxTokensPerMicroBatch \d+ and activationCheckpointing: take a smaller policy/,
  );
});
