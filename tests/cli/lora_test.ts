import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import type { CommandResult } from "../helpers/cli.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_RUN } from "../helpers/tiny_run.ts";

function succeeded(result: CommandResult): CommandResult {
  assertEquals(result.code, 0, `${result.stdout}\n${result.stderr}`);
  return result;
}

test.inDir("a run with adapters resumes to the same bytes, is scored, and is merged", async (dir) => {
  const train = (...flags: string[]) =>
    runInProcess(
      dir,
      "train",
      "--task=parity",
      ...TINY_RUN,
      "--lora-rank=2",
      "--dtype=f16",
      ...flags,
    );
  const weights = (run: string) =>
    Deno.readFile(join(dir, "runs", run, "checkpoint", "adapter_model.safetensors"));
  succeeded(await train("--max-steps=2", "--out=runs/whole", "--merge"));
  succeeded(await train("--max-steps=1", "--out=runs/stopped"));
  succeeded(await runInProcess(dir, "train", "--resume", "runs/stopped", "--max-steps=2"));
  assertEquals(await weights("stopped"), await weights("whole"));
  const scored = ["eval", "--task=parity", "--eval-prompts=4", "--checkpoint"] as const;
  const adapted = succeeded(await runInProcess(dir, ...scored, "runs/whole"));
  assertMatch(adapted.stdout, /mean@/);
  succeeded(await runInProcess(dir, ...scored, "runs/whole/merged"));
});

test.inDir("--merge without adapters is refused", async (dir) => {
  const { code, stderr } = await runInProcess(
    dir,
    "train",
    "--task=parity",
    ...TINY_RUN,
    "--max-steps=1",
    "--merge",
  );
  assertEquals(code, 2, stderr);
  assertMatch(stderr, /--merge adds adapters to a model, and there are none: give --lora-rank/);
});
