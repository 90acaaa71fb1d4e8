import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { readMetrics } from "../../src/run/metrics_log.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_RUN } from "../helpers/tiny_run.ts";

async function train(dir: string, ...flags: string[]): Promise<void> {
  const { code, stdout, stderr } = await runInProcess(dir, "train", "--quiet", ...flags);
  assertEquals(code, 0, stdout + stderr);
}

/** Lines of metrics as text, without what depends on the clock. */
async function linesOf(path: string): Promise<string[]> {
  return (await readMetrics(path)).map((record) =>
    JSON.stringify(record, (name, value) => /timing|perf/.test(name) ? undefined : value)
  );
}

test.inDir("an evaluation that Ctrl-C left out is made by the session that goes on", async (dir) => {
  const whole = join(dir, "runs", "whole", "metrics.jsonl");
  const half = join(dir, "runs", "half", "metrics.jsonl");
  const flags = [...TINY_RUN, "--eval-steps=2", "--no-report"];
  await train(dir, ...flags, "--max-steps=4", "--out=runs/whole");
  const expected = await linesOf(whole);
  assertEquals(expected.map((line) => line.includes("eval/")), [true, false, true, false, true]);
  // A session that is stopped in a step writes its line without the evaluation, which can be any
  // that is due: the first, one between, the last.
  for (const step of [0, 2, 4]) {
    await Deno.remove(join(dir, "runs", "half"), { recursive: true }).catch(() => {});
    await train(dir, ...flags, `--max-steps=${step}`, "--out=runs/half");
    const lines = (await readMetrics(half)).map((record) =>
      Object.entries(record).filter(([name]) =>
        record["training/global_step"] !== step || !name.startsWith("eval/")
      )
    ).filter((entries) => entries.length > 1);
    const text = lines.map((entries) => JSON.stringify(Object.fromEntries(entries)) + "\n");
    await Deno.writeTextFile(half, text.join(""));
    await train(dir, "--no-report", "--resume=runs/half", "--max-steps=4");
    assertEquals(await linesOf(half), expected, `stopped in step ${step}`);
  }
});
