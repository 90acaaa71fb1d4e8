import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { join } from "node:path";
import { MEMORY_BUDGET_FLAG } from "../../src/cli/memory_flag.ts";
import { host } from "../../src/host/host.ts";
import { readRunConfig } from "../../src/run/run_directory.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_RUN } from "../helpers/tiny_run.ts";

Deno.test("--memory-budget takes sizes as people write them", () => {
  const sizes = { "7.5GiB": 7.5 * 2 ** 30, "800 MB": 8e8, "512KiB": 2 ** 19, "1000": 1000 };
  for (const [text, bytes] of Object.entries(sizes)) {
    assertEquals(MEMORY_BUDGET_FLAG.parse!(text), bytes);
  }
  for (const text of ["", "0GiB", "GiB", "-1GiB", "7.5GiBs", "1e9", "8gb"]) {
    assertThrows(() => MEMORY_BUDGET_FLAG.parse!(text), RangeError, "give a size such as 7.5GiB");
  }
});

test.inDir("a run keeps to --memory-budget, says how, and goes on with what was chosen", async (dir) => {
  const train = (...flags: string[]) => runInProcess(dir, "train", ...flags, "--no-report");
  const begin = [...TINY_RUN, "--max-steps=1", "--out=runs/small"];
  const { code, stdout, stderr } = await train(...begin, "--memory-budget=4MiB");
  assertEquals(code, 0, stderr);
  assertMatch(
    stdout,
    /^needs \d\.\d MiB of GPU memory: .*, with --max-tokens-per-micro-batch 1024 to fit into 4\.0 MiB$/m,
  );
  const { options } = await readRunConfig(join(dir, "runs/small"));
  assertEquals((options as Record<string, unknown>).maxTokensPerMicroBatch, 1024);
  const resumed = await train("--resume=runs/small", "--max-steps=2");
  assertEquals(resumed.code, 0, resumed.stderr);
  assert(!resumed.stdout.includes("to fit into"), resumed.stdout);

  // Less free memory than there was is no reason for other bits, unless there is a budget again.
  const { freeMemory } = host;
  try {
    Object.assign(host, { freeMemory: () => 2 ** 22 });
    const begun = await train(...TINY_RUN, "--max-steps=1", "--out=runs/free");
    assertMatch(begun.stdout, /with --max-tokens-per-micro-batch 1024 to fit into what is free$/m);
    Object.assign(host, { freeMemory: () => 2 ** 21 });
    const { code, stderr } = await train("--resume=runs/small", "--max-steps=3");
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /has 0\.0 GiB free: lower --max-tokens-per-micro-batch or .* keeps its other settings/,
    );
    const tight = await train("--resume=runs/small", "--max-steps=3", "--memory-budget=200KiB");
    assertEquals(tight.code, 2);
    assertMatch(tight.stderr, /--memory-budget is 0\.2 MiB, .* begun keeps its other settings/);
    const smaller = await train("--resume=runs/small", "--max-steps=3", "--memory-budget=2MiB");
    assertMatch(smaller.stdout, /with --max-tokens-per-micro-batch \d+ .*to fit into 2\.0 MiB$/m);
  } finally {
    Object.assign(host, { freeMemory });
  }

  const refused = await train(...TINY_RUN, "--memory-budget=200KiB", "--max-steps=1");
  assertEquals(refused.code, 2);
  assertMatch(
    refused.stderr,
    /--memory-budget is 0\.2 MiB, and the run needs \d\.\d MiB with --max-tokens-per-micro-batch \d+ and --activation-checkpointing: lower --prompts-per-step/,
  );
});
