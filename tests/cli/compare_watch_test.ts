import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { watchShards } from "../../src/cli/compare_watch.ts";
import { writePlan } from "../../src/lab/comparison_folder.ts";
import { runSpecs } from "../../src/lab/comparison_plan.ts";
import { COMPARISON_PRESETS } from "../../src/lab/comparison_presets.ts";
import { type RunRecord, saveRun, settingsDigest } from "../../src/lab/comparison_run.ts";
import { ShardNotes, shardProgress } from "../../src/lab/shard_progress.ts";
import { test } from "../helpers/test.ts";

/** The first event of a live page. */
async function snapshotAt(
  url: string,
): Promise<{ about: unknown; state: { done: number; total: number } }> {
  const response = await fetch(`${url}events`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n\n")) text += (await reader.read()).value ?? "";
  await reader.cancel();
  return JSON.parse(text.split("\n").find((line) => line.startsWith("data: "))!.slice(6));
}

test.inDir("one live page shows what all shards have done and are doing", async (dir) => {
  const plan = { title: "smoke", blocks: COMPARISON_PRESETS.smoke.slice(0, 1) };
  const specs = runSpecs(plan.blocks);
  const dirs = [join(dir, "a"), join(dir, "b")];
  for (const shard of dirs) await writePlan(shard, plan);
  const finish = async (shard: string, i: number) => {
    const spec = specs[i]!;
    const record = { spec, settings: settingsDigest(spec), evaluation: { meanAtN: 0.5 } };
    await saveRun(shard, record as RunRecord);
  };
  await finish(dirs[0]!, 0);
  await using note = new ShardNotes(dirs[1]!, 2, 2);
  const state = { run: specs[1]!.id, total: 10, reward: 0.25 };
  await note.step({ ...state, done: 3 });
  await note.step({ ...state, done: 4 }); // too soon after the first to be written

  // Where the page is stands in the terminal.
  const log = console.log;
  const printed = Promise.withResolvers<string>();
  console.log = (text: string) => printed.resolve(text);
  const stop = new AbortController();
  const watching = watchShards(dirs, 0, stop.signal);
  const url = (await printed.promise).replace("live page: ", "");
  console.log = log;
  const { about, state: shown } = await snapshotAt(url);
  assertEquals(about, {
    title: "compare smoke",
    facts: [
      ["shard 2/2", `${specs[1]!.id}, step 3 of 10, reward 0.250`],
      [specs[0]!.id, "mean@8 0.500"],
    ],
  });
  assertEquals([shown.done, shown.total], [1, specs.length]);
  for (const i of specs.keys()) await finish(dirs[i % 2]!, i);
  await watching; // ends by itself

  await note[Symbol.asyncDispose]();
  const { notes, finished } = await shardProgress(dirs);
  assertEquals([notes, finished.size], [[], specs.length]);
  await assertRejects(() => watchShards([dir], 0), Deno.errors.NotFound, "it has no plan.json");
});
