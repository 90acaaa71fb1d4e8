import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnAnnounced } from "../helpers/cli.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";

const LIBRARY = fileURLToPath(new URL("../../mod.ts", import.meta.url));

/** A task of the user's own with a small policy and a short warm start. */
const TASK = `
import { defineTask, symbolTokenizer } from ${JSON.stringify(LIBRARY)};
export default defineTask({
  name: "ones",
  tokenizer: symbolTokenizer("01="),
  prompts: ["0=", "1=", "01=", "10="],
  evalPrompts: ["00=", "11="],
  verify: ({ completion }) => completion.startsWith("1") ? 1 : 0,
  demonstrate: ({ index }) => index % 2 ? "1" : "0",
  maxCompletionLength: 4,
  defaults: {
    policy: { hiddenSize: 16, numHiddenLayers: 1, numAttentionHeads: 2, intermediateSize: 32 },
    warmStart: { steps: 4, batchSize: 8, learningRate: 1e-3 },
    rl: { maxSteps: 9, learningRate: 1e-3, promptsPerStep: 2, numGenerations: 4 },
  },
});
`;

const FLAGS = [
  "compare",
  "--task=./ones.ts",
  "--methods=delta-l-1,grpo",
  "--seeds=1",
  "--max-steps=4",
  "--learning-rate=0.001,0.002",
  "--eval-prompts=2",
];

/** What a comparison's folder holds beside its runs, whose files tell their times. */
async function resultsOf(dir: string): Promise<Record<string, string>> {
  const names = ["compare.json", "compare.md", "plan.json", "report.html"];
  const texts = names.map(async (name) => [name, await Deno.readTextFile(join(dir, name))]);
  return Object.fromEntries(await Promise.all(texts));
}

test.inDir("shards of a comparison, one of them killed, merge to the tables of one machine", async (dir) => {
  await Deno.writeTextFile(join(dir, "ones.ts"), TASK);
  const whole = await runInProcess(dir, ...FLAGS, "--out=runs/whole", "--json");
  assertEquals(whole.code, 0, whole.stderr);
  const expected = await resultsOf(join(dir, "runs/whole"));
  assertEquals(`${JSON.stringify(JSON.parse(whole.stdout), null, 2)}\n`, expected["compare.json"]);
  const { title, runs, tables } = JSON.parse(whole.stdout);
  assertEquals([title, runs.length, tables.length], ["ones", 5, 2]);
  assertStringIncludes(expected["compare.md"]!, "### ones-16x1-4, learning rate 0.0020");

  // Killed as soon as its first run is done, then begun again.
  const first = [...FLAGS, "--shard=1/2", "--out=runs/first"];
  const killed = spawnAnnounced(dir, ...first);
  await killed.end(0, /^1\/3 /m);
  assertEquals(killed.killed, true);
  const kept = [...Deno.readDirSync(join(dir, "runs/first/runs"))].map(({ name }) => name);
  assert(kept.length >= 1, "killed before the first run was kept");
  const again = await runInProcess(dir, ...first);
  assertEquals(again.code, 0, again.stderr);
  assertMatch(again.stdout, /^3 of 5 runs are finished$/m);
  assert(!again.stderr.includes("1/3 "), "a finished run was made again");
  const second = await runInProcess(dir, ...FLAGS, "--shard=2/2", "--out=runs/second", "--quiet");
  assertEquals(second.code, 0, second.stderr);

  // In whatever order, also with a folder that has some of the others' runs.
  for (
    const [i, folders] of [
      ["runs/second", "runs/first"],
      ["runs/first", "runs/whole", "runs/second"],
    ].entries()
  ) {
    const out = join("runs", `merged-${i}`);
    const merged = await runInProcess(dir, "compare", "--merge", ...folders, `--out=${out}`);
    assertEquals(merged.code, 0, merged.stderr);
    assertEquals(await resultsOf(join(dir, out)), expected);
  }

  await runInProcess(dir, ...FLAGS, "--seeds=2", "--table", "--out=runs/other");
  const refused: [string[], number, string][] = [
    [["--merge", "runs/first", "--out=runs/x", "--seeds=1"], 2, "--seeds does not go with --merge"],
    [["--merge", "runs/first"], 2, "--merge needs --out <dir>"],
    [
      ["--merge", "runs/first", "runs", "--out=runs/x"],
      1,
      "runs is not the folder of a comparison",
    ],
    [["--methods=ppo"], 2, "give one of delta-l-1"],
    [["--max-steps=3"], 2, "--max-steps goes with --task"],
    [["--task=parity", "--preset=smoke"], 2, "--preset does not go with --task"],
  ];
  for (const [args, code, message] of refused) {
    const result = await runInProcess(dir, "compare", ...args);
    assertEquals(result.code, code, result.stderr);
    assertStringIncludes(result.stderr, message);
  }
});
