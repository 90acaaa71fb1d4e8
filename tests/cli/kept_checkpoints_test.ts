import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { readMetrics } from "../../src/run/metrics_log.ts";
import { earlierCheckpoints, recoverCheckpoint } from "../../src/run/run_checkpoints.ts";
import { completedStepsOf } from "../../src/run/trainer_state.ts";
import type { CommandResult } from "../helpers/cli.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_RUN } from "../helpers/tiny_run.ts";

async function train(dir: string, ...flags: string[]): Promise<CommandResult> {
  const result = await runInProcess(dir, "train", "--quiet", "--no-report", ...flags);
  assertEquals(result.code, 0, result.stdout + result.stderr);
  return result;
}

/** Every file of a run's checkpoints, but for the settings that a shorter run has in them. */
function checkpointsOf(run: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const { name, isDirectory } of Deno.readDirSync(run)) {
    if (!isDirectory || !name.startsWith("checkpoint")) continue;
    for (const file of Deno.readDirSync(join(run, name))) {
      if (name !== "checkpoint" && file.name === "trainer_state.json") continue;
      files.set(`${name}/${file.name}`, Deno.readFileSync(join(run, name, file.name)));
    }
  }
  return new Map([...files].sort());
}

test.inDir(
  "the best checkpoint and those before the latest are kept, resumed or not",
  async (dir, t) => {
    const whole = join(dir, "runs", "whole");
    const half = join(dir, "runs", "half");
    const flags = [
      ...TINY_RUN,
      "--eval-steps=1",
      "--save-steps=2",
      "--keep-checkpoints=3",
      "--save-best=eval/parity/greedy",
      "--learning-rate=0.03",
    ];
    const { stdout } = await train(dir, ...flags, "--max-steps=7", "--out=runs/whole");
    const values = (await readMetrics(join(whole, "metrics.jsonl")))
      .map((line) => line["eval/parity/greedy"] as number);
    const best = values.indexOf(Math.max(...values));
    assert(best > 0 && best < 7, `a run whose best is its first or last shows less: ${values}`);

    await t.step(
      "the best is that of the greatest figure, the first where several are",
      async () => {
        assertEquals(await completedStepsOf(join(whole, "checkpoint-best")), best);
        assertMatch(
          stdout,
          new RegExp(
            `best +eval/parity/greedy ${values[best]!.toFixed(4)} after step ${best}, kept`,
          ),
        );
        const scored = await runInProcess(
          dir,
          ...["eval", "--checkpoint=runs/whole/checkpoint-best", "--json"],
          ...["--num-generations=4", "--eval-prompts=8"],
        );
        assertEquals(JSON.parse(scored.stdout).greedy, values[best]);
      },
    );

    await t.step("as many as asked for are kept, the latest among them", async () => {
      const saved = new Set([0, 2, 4, 6, 7]);
      // A better evaluation is saved at once.
      values.forEach((value, step) =>
        value > Math.max(...values.slice(0, step)) && saved.add(step)
      );
      const last = [...saved].sort((a, b) => a - b).slice(-3);
      assertEquals((await earlierCheckpoints(whole)).map(({ step }) => step), last.slice(0, -1));
      assertEquals(await completedStepsOf(join(whole, "checkpoint")), 7);
    });

    await t.step("a run that was stopped on the way ends with the same bytes", async () => {
      for (const steps of [best, 4]) {
        await Deno.remove(half, { recursive: true }).catch(() => {});
        await train(dir, ...flags, `--max-steps=${steps}`, "--out=runs/half");
        // As if it had been stopped between the latest and the best checkpoint.
        if (steps === best) await Deno.remove(join(half, "checkpoint-best"), { recursive: true });
        await train(dir, "--resume=runs/half", "--max-steps=7");
        const expected = checkpointsOf(whole);
        assertEquals([...checkpointsOf(half).keys()], [...expected.keys()]);
        assertEquals(checkpointsOf(half), expected);
      }
    });

    await t.step("a process stopped between two renames loses no checkpoint", async () => {
      const kept = checkpointsOf(half);
      const [oldest, newer] = await earlierCheckpoints(half);
      // The checkpoint before the latest has not got its name yet, and a removal has begun.
      await Deno.rename(newer!.dir, join(half, "checkpoint.old"));
      await Deno.mkdir(join(half, "checkpoint-1.old"));
      await Deno.writeTextFile(join(half, "checkpoint-1.old", "config.json"), "{}");
      assertEquals(await recoverCheckpoint(half, 3), true);
      assertEquals((await earlierCheckpoints(half)).map(({ step }) => step), [
        oldest!.step,
        newer!.step,
      ]);
      assertEquals(checkpointsOf(half), kept);
    });
  },
);

test.inDir("a run that gets no better ends when its patience does, and so does the resumed one", async (dir) => {
  // Nothing changes, so the evaluation before training stays the best.
  const flags = [...TINY_RUN, "--learning-rate=0", "--eval-steps=2"];
  const patient = [...flags, "--patience=2", "--max-steps=9"];
  const { stdout } = await train(dir, ...patient, "--out=runs/whole");
  assertStringIncludes(stdout, "Ended early, after 4 of 9 steps");
  assertStringIncludes(stdout, "best        eval/parity/mean@4");
  assertStringIncludes(stdout, "after step 0; 2 evaluations since then found none better");
  assertEquals(await completedStepsOf(join(dir, "runs/whole/checkpoint")), 4);

  await train(dir, ...flags, "--max-steps=2", "--out=runs/half");
  // The evaluation after its last step was one without a better figure, so one more ends it.
  const resumed = await train(dir, "--resume=runs/half", "--patience=2", "--max-steps=9");
  assertStringIncludes(resumed.stdout, "Ended early, after 4 of 9 steps");
  const again = await train(dir, "--resume=runs/half");
  assertStringIncludes(again.stdout, "Ended early, after 4 of 9 steps");
  const more = await train(dir, "--resume=runs/half", "--patience=0", "--max-steps=5");
  assertStringIncludes(more.stdout, "Done: 5 steps");
});

test.inDir("what cannot decide between checkpoints is refused", async (dir) => {
  const refused: [flags: string[], code: number, message: string][] = [
    [
      ["--patience=3"],
      2,
      "--patience is 3 and there is no evaluation while training: give --eval-steps",
    ],
    [["--save-best=reward/mean"], 2, "give a figure of evaluations, such as eval/parity/mean@4"],
    [
      ["--save-best=eval/parity/best"],
      1,
      "there is no figure eval/parity/best: evaluations have eval/parity/mean@4",
    ],
    [["--keep-checkpoints=0"], 2, "give a whole number from 1"],
  ];
  for (const [flags, code, message] of refused) {
    const result = await runInProcess(
      dir,
      "train",
      ...TINY_RUN,
      "--quiet",
      "--max-steps=2",
      ...flags,
    );
    assertEquals(result.code, code, result.stderr);
    assertStringIncludes(result.stderr, message);
  }
});
