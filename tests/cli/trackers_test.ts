import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_RUN } from "../helpers/tiny_run.ts";

test.inDir("--report-to tensorboard writes an event file per session, resumed too", async (dir) => {
  const events = () =>
    [...Deno.readDirSync(join(dir, "runs", "a"))].map(({ name }) => name)
      .filter((name) => name.startsWith("events.out.tfevents.")).sort();
  const flags = [...TINY_RUN, "--no-report", "--quiet", "--out=runs/a", "--max-steps=1"];
  const first = await runInProcess(dir, "train", ...flags, "--report-to=tensorboard");
  assertEquals(first.code, 0, first.stderr);
  assertMatch(first.stdout, /^shown by +tensorboard --logdir runs.a$/m);
  assertEquals(events().length, 1);
  const text = new TextDecoder().decode(await Deno.readFile(join(dir, "runs", "a", events()[0]!)));
  for (const tag of ["reward/mean", "eval/parity/mean@4", "```json"]) {
    assertStringIncludes(text, tag);
  }
  // The run remembers where.
  const resumed = await runInProcess(
    dir,
    ...["train", "--resume=runs/a", "--no-report", "--quiet", "--max-steps=2"],
  );
  assertEquals(resumed.code, 0, resumed.stderr);
  assertEquals(events().length, 2);
});

test.inDir("a tracker that is not there is named, with what to do", async (dir) => {
  const unknown = await runInProcess(dir, "train", "--report-to=tensorboard,mlflow");
  assertEquals(unknown.code, 2);
  assertStringIncludes(unknown.stderr, "give tensorboard, wandb, several with commas, or none");
  const flags = [...TINY_RUN, "--quiet", "--max-steps=0"];
  const absent = await runInProcess(dir, "train", ...flags, "--report-to=wandb");
  assertEquals(absent.code, 1);
  assertStringIncludes(absent.stderr, "@wandb/sdk is not installed: deno add npm:@wandb/sdk");
});
