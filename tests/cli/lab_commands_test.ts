import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_POLICY } from "../helpers/tiny_run.ts";

test.inDir("compare makes the runs of its shard once, and a table and a report of what is finished", async (dir) => {
  const flags = ["compare", "--preset=smoke", "--seeds=1", "--shard=1/7"];
  const { code, stdout, stderr } = await runInProcess(dir, ...flags);
  assertEquals(code, 0, stderr);
  const out = join(dir, "runs", "compare-smoke");
  const files = () => [...Deno.readDirSync(join(out, "runs"))].map(({ name }) => name).sort();
  const made = files();
  assert(made.length >= 2 && made.length < 10, made.join());
  assertStringIncludes(stdout, `${made.length} of `);
  assertMatch(stdout, /\| ΔL α = 1 \||\| warm start \|/);
  assertStringIncludes(stdout, "compare.json, compare.md");
  const { kind, runs } = JSON.parse(await Deno.readTextFile(join(out, "compare.json")));
  assertEquals(kind, "compare");
  assertEquals(runs.length, made.length);
  assertMatch(runs[0].provenance.adapter.description, /./);
  const times = made.map((name) => Deno.statSync(join(out, "runs", name)).mtime!.getTime());

  const again = await runInProcess(dir, ...flags, "--quiet");
  assertEquals(again.code, 0, again.stderr);
  assertEquals(files(), made);
  assertEquals(made.map((name) => Deno.statSync(join(out, "runs", name)).mtime!.getTime()), times);

  const list = await runInProcess(dir, ...flags, "--list");
  assertEquals(list.stdout.trimEnd().split("\n").length, made.length);
  assert(list.stdout.trimEnd().split("\n").every((line) => line.startsWith("done")), list.stdout);
  const rest = await runInProcess(dir, "compare", "--preset=smoke", "--seeds=1", "--list");
  assertMatch(rest.stdout, /^-\s+parity-32x1-\d+-/m);
});

test.inDir("variance measures a policy and leaves tables, figures and a report", async (dir) => {
  const pool = [
    "--prompts=8",
    "--num-generations=8",
    "--batch-prompts=2",
    "--halves=20",
    "--bins=3",
  ];
  const warm = ["--warm-start-steps=20", "--warm-start-batch-size=16"];
  const flags = ["--task=parity", ...TINY_POLICY, ...warm, ...pool];
  const { code, stdout, stderr } = await runInProcess(dir, "variance", ...flags);
  assertEquals(code, 0, stderr);
  for (const text of ["| ΔL α = 0.75 |", "| GRPO |", "is least at α =", "Var(g | L) = V L"]) {
    assertStringIncludes(stdout, text);
  }
  const out = join(dir, "runs", "variance-parity");
  const { kind, study } = JSON.parse(await Deno.readTextFile(join(out, "variance.json")));
  assertEquals(kind, "variance");
  assertEquals(study.responses.count, 64);
  assertEquals(study.noise.rules.length, 4 + 31);
});

test.inDir("what cannot be done is refused before anything is made", async (dir) => {
  const refusals: [args: string[], message: string][] = [
    [["compare", "--shard=0/3"], "give i/n with i from 1 to n"],
    [["compare", "--shard=4/3"], "give i/n with i from 1 to n"],
    [["compare", "--preset=huge"], "give one of smoke, default, full"],
    [["variance", "--prompts=30"], "--prompts is 30: give at least four times --batch-prompts, 64"],
    [["report", "--out=runs/x"], "--out goes with several folders"],
    [["report", "--folder"], "there is no flag --folder"],
    [["report"], "there is no run below runs"],
  ];
  for (const [args, message] of refusals) {
    const { code, stderr } = await runInProcess(dir, ...args);
    assertEquals(code, 2, `${args.join(" ")}: ${stderr}`);
    assertStringIncludes(stderr, message);
  }
  const cases = [
    [["report", "runs"], "there is no folder runs"],
    [["report", "emtpy", "other"], "there is no folder emtpy"],
  ] as const;
  for (const [args, message] of cases) {
    const { code, stderr } = await runInProcess(dir, ...args);
    assertEquals(code, 1);
    assertStringIncludes(stderr, message);
  }
  await Deno.mkdir(join(dir, "empty"));
  for (const args of [["report", "emtpy"], ["eval", "emtpy"], ["train", "--resume=emtpy"]]) {
    const { code, stderr } = await runInProcess(dir, ...args);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "there is no folder emtpy, did you mean empty?");
  }
  const { code, stderr } = await runInProcess(dir, "report", "empty");
  assertEquals(code, 1);
  assertStringIncludes(stderr, "holds no results");
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["empty"]);
});
