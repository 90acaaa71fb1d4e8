import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import { readMetrics } from "../../src/run/metrics_log.ts";
import { type CommandResult, interruptAt, runCommand } from "../helpers/cli.ts";
import { runInProcess, runInProcessWith } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_RUN as TINY } from "../helpers/tiny_run.ts";

function succeeded(result: CommandResult): CommandResult {
  assertEquals(result.code, 0, `${result.stdout}\n${result.stderr}`);
  return result;
}

/** The bytes of a checkpoint, by file. */
async function checkpointOf(run: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const dir = join(run, "checkpoint");
  for (const { name } of [...Deno.readDirSync(dir)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    files.set(name, await Deno.readFile(join(dir, name)));
  }
  return files;
}

/** Metrics without what depends on the clock. */
async function metricsOf(run: string): Promise<unknown[]> {
  const records = await readMetrics(join(run, "metrics.jsonl"));
  return records.map((record) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => !/timing|per_s|perf/.test(name)))
  );
}

test.inDir("train leaves a run that resumes bit by bit, is scored and sampled", async (dir, t) => {
  const whole = join(dir, "runs", "parity-1");
  await t.step("train", async () => {
    const { stdout, stderr } = succeeded(
      await runInProcess(dir, "train", ...TINY, "--max-steps=6"),
    );
    assertMatch(stdout, /^training a policy of \d+ parameters on parity, on .+\nwarm start made/);
    assertMatch(
      stdout.replaceAll("\n", " "),
      /minimises Σ_i x_i Σ_t ℓ with x = 1 \/ \(N 17\) · L\^-1 .+; ℓ = max\(.+; A = \(r - mean of the group\) \/ /,
    );
    assertMatch(stdout, /Done: 6 steps of parity in/);
    assertMatch(stdout, /before +after\naccuracy \(mean@4\) +\d+\.\d % +\d+\.\d %\n/);
    assertMatch(stdout, /written to +runs.parity-1: config\.json/);
    assertMatch(stderr, /^(compiling kernels\n)?warm start +1\/20 +loss \d\.\d+/);
    // Of eight ids padding is never written.
    const written = await Deno.readTextFile(join(whole, "completions.jsonl"));
    assertStringIncludes(written, "<eos>");
    assert(!written.includes("<pad>"), written);
    assertMatch(stderr, /train 6\/6 +reward \d\.\d{3} +length/);
    const names = [...Deno.readDirSync(whole)].map(({ name }) => name).sort();
    const visible = names.filter((name) => !name.startsWith("."));
    assertEquals(visible, [
      "checkpoint",
      "completions.jsonl",
      "config.json",
      "figures",
      "metrics.jsonl",
      "report.html",
    ]);
    assertMatch(stdout, /^report +runs.parity-1.report\.html \(\d+.* kB\)$/m);
    const metrics = await readMetrics(join(whole, "metrics.jsonl"));
    assertEquals(metrics.map((line) => line["training/global_step"]), [0, 1, 2, 3, 4, 5, 6]);
    for (const line of [metrics[0]!, metrics[6]!]) assert("eval/parity/mean@4" in line);
  });

  await t.step("3 steps and 3 more after --resume are 6 steps", async () => {
    const half = join("runs", "half");
    const { stdout } = succeeded(
      await runInProcess(dir, "train", ...TINY, "--max-steps=3", "--out", half, "--quiet"),
    );
    assert(stdout.startsWith("\nDone: 3 steps") && !stdout.includes("minimises"), stdout);
    assert((await checkpointOf(join(dir, half))).size > 0);
    const resumed = succeeded(await runInProcess(dir, "train", "--resume", "--max-steps=6"));
    assertMatch(resumed.stdout, /resuming runs.half after step 3/);
    assertEquals(await checkpointOf(join(dir, half)), await checkpointOf(whole));
    const lines = await metricsOf(join(dir, half)) as Record<string, unknown>[];
    // The shorter run was evaluated at its end, after step 3.
    lines[3] = Object.fromEntries(
      Object.entries(lines[3]!).filter(([name]) => !name.startsWith("eval/")),
    );
    assertEquals(lines, await metricsOf(whole));
    const completions = (run: string) => Deno.readTextFile(join(run, "completions.jsonl"));
    assertEquals(await completions(join(dir, half)), await completions(whole));
  });

  await t.step({
    name: "Ctrl-C finishes the step and saves; with --resume it is as if nothing had been",
    ignore: Deno.build.os === "windows",
    async fn() {
      const stopped = join("runs", "stopped");
      const { code, stdout, stderr } = await interruptAt(
        "./announced.ts",
        dir,
        ["train    1/1000"],
        ...["train", ...TINY, "--max-steps=1000", "--eval-steps=1", "--out", stopped],
      );
      assertEquals(code, 130, stdout + stderr);
      assertStringIncludes(stderr, "Ctrl-C again stops at once");
      assert(!stderr.includes("XDG_RUNTIME_DIR"), stderr);
      assertMatch(stdout, /go on with +deno task train --resume runs.stopped/);
      const steps = Number(/Stopped after (\d+) of 1000 steps/.exec(stdout)![1]);
      const max = `--max-steps=${steps + 1}`;
      succeeded(await runInProcess(dir, "train", "--resume", stopped, max));
      const straight = join("runs", "straight");
      const flags = [...TINY, max, "--eval-steps=1", "--out", straight];
      const unstopped = await runInProcess(dir, "train", ...flags);
      assertMatch(succeeded(unstopped).stdout, /^warm start found: runs.warm-start/m);
      assertEquals(await checkpointOf(join(dir, stopped)), await checkpointOf(join(dir, straight)));
      assertEquals(await metricsOf(join(dir, stopped)), await metricsOf(join(dir, straight)));
    },
  });

  await t.step("a run in f16 resumes in f16, bit by bit, and in nothing else", async () => {
    const [straight, resumed] = [join("runs", "straight-f16"), join("runs", "resumed-f16")];
    const begin = (out: string, steps: number) =>
      runInProcess(dir, "train", ...TINY, "--dtype=f16", `--max-steps=${steps}`, "--out", out);
    const { stdout } = succeeded(await begin(straight, 3));
    assertMatch(stdout, /^training .+ on parity, stored in f16, on .+\nwarm start found/);
    assertMatch(
      await Deno.readTextFile(join(dir, straight, "report.html")),
      /dtype<\/[^>]+>\s*<[^>]+>f16</,
    );
    succeeded(await begin(resumed, 1));
    const other = await runInProcess(dir, "train", "--resume", resumed, "--dtype=f32");
    assertEquals(other.code, 2);
    assertMatch(other.stderr, /dtype is f32 and was f16/);
    succeeded(await runInProcess(dir, "train", "--resume", resumed, "--max-steps=3"));
    const expected = await checkpointOf(join(dir, straight));
    assertEquals(await checkpointOf(join(dir, resumed)), expected);
    const weights = expected.get("model.safetensors");
    assertNotEquals((await checkpointOf(whole)).get("model.safetensors"), weights);
    const scored = succeeded(
      await runInProcess(dir, "eval", "--checkpoint", straight, "--max-completion-length=9"),
    );
    assertMatch(
      scored.stdout.replaceAll("\n", " "),
      /on 8 prompts that training never sees, seed 42, temperature 0\.8, at most 9 tokens, stored in f16/,
    );
  });

  await t.step("eval gives what train reported", async () => {
    const { stdout } = succeeded(await runInProcess(dir, "eval", whole, "--json"));
    const scored = JSON.parse(stdout);
    assertEquals([scored.temperature, scored.maxCompletionLength], [0.8, 17]);
    const last = (await readMetrics(join(whole, "metrics.jsonl"))).at(-1)!;
    assertEquals([scored.task, scored.prompts, scored.numGenerations], ["parity", 8, 4]);
    assertEquals(
      [scored.meanAtN, scored.passAtN, scored.greedy, scored.meanLength],
      ["mean@4", "pass@4", "greedy", "response_length/mean"].map((name) =>
        last[`eval/parity/${name}`]
      ),
    );
  });

  await t.step("eval samples among the most likely tokens where it is told to", async () => {
    const flags = ["--top-k=1", "--eval-prompts=4", "--num-generations=2", "--json"];
    const { stdout } = succeeded(await runInProcess(dir, "eval", whole, ...flags));
    const scored = JSON.parse(stdout);
    assertEquals([scored.topK, scored.topP, scored.minP], [1, 1, 0]);
    assertEquals(scored.meanAtN, scored.greedy);
  });

  await t.step("sample prints prompts, rewards and answers", async () => {
    const { stdout } = succeeded(
      await runInProcess(dir, "sample", whole, "--count=2", "--num-generations=3"),
    );
    assertMatch(stdout, /^([01]+_*:\n( {2}[01]\.00 .+\n){3}){2}$/);
    const own = succeeded(await runInProcess(dir, "sample", "--prompt", "0110 __________ :"));
    assertMatch(own.stdout, /^0110__________:\n( {8}.+\n){2}$/);
    const lines = "0110__________:\n\n011___________:\n0110__________:";
    const piped = succeeded(
      await runInProcessWith({ stdin: lines }, dir, "sample", "--prompt", "-"),
    );
    assertMatch(piped.stdout, /^(011[0_]__________:\n( {8}.+\n){2}){3}$/);
    // The first line is the first prompt, whichever way it came; the third is sampled anew.
    assert(piped.stdout.startsWith(own.stdout), piped.stdout);
  });
});

test.inDir("warm-start keeps what train begins from, byte for byte the same each time", async (dir) => {
  const sizes = TINY.filter((flag) => /size|layers|heads|warm-start/.test(flag));
  const first = succeeded(await runInProcess(dir, "warm-start", ...sizes));
  assertMatch(first.stdout, /^fitting a policy of \d+ parameters[^]+accuracy \(mean@8\) +\d/);
  const kept = /^(runs.warm-start\S+) made in/m.exec(first.stdout)![1]!;
  const copy = join("runs", "copy");
  const quiet = succeeded(
    await runInProcess(dir, "warm-start", ...sizes, "--quiet", "--out", copy),
  );
  assert(quiet.stdout.startsWith(`${copy} made in`), quiet.stdout);
  assertEquals(quiet.stderr, "");
  for (const name of ["config.json", "model.safetensors", "warm_start.json"]) {
    const [a, b] = [kept, copy].map((path) => Deno.readFileSync(join(dir, path, name)));
    assertEquals(a, b, name);
  }
  const other = await runInProcess(dir, "warm-start", ...sizes, "--seed=1", "--out", copy);
  assertEquals(other.code, 1);
  assertStringIncludes(other.stderr, `${copy} holds a warm start with other settings`);
});

test.inDir("a command that cannot be followed ends with code 2 and one line", async (dir) => {
  const refused: [string[], string][] = [
    [["trian"], "there is no command trian, did you mean train?"],
    [["train", "--max-step", "3"], "did you mean --max-steps?"],
    [["train", "--mini-batch-size=24"], "--mini-batch-size must be"],
    [["train", "--num-attention-heads=3"], "--hidden-size is 64"],
    [["train", "--policy=x", "--hidden-size=8"], "--hidden-size does not go with --policy"],
    [["train", "--resume", "--out=x"], "--out does not go with --resume"],
    [["sample", "--prompt=01:", "--count=2"], "--prompt does not go with --index and --count"],
    [["eval"], "there is no run with a checkpoint below runs"],
  ];
  for (const [args, message] of refused) {
    const run = args[0] === "trian" ? runCommand : runInProcess;
    const { code, stdout, stderr } = await run(dir, ...args);
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, /^error: .+\n$/);
    assertStringIncludes(stderr, message);
  }
});

test.inDir("an error ends with code 1 and one line, with --verbose with its stack", async (dir) => {
  await Deno.mkdir(join(dir, "runs", "full"), { recursive: true });
  await Deno.writeTextFile(join(dir, "runs", "full", "file"), "");
  const failing: [string[], string][] = [
    [["train", "--out=runs/full"], "runs/full is not empty"],
    [["train", "--resume"], "there is no run with a checkpoint below runs"],
    [["train", "--resume=runs/full"], "runs/full is not the folder of a run"],
    [["train", "--policy=runs/full"], "runs/full has no config.json"],
    [["train", "--out=elsewhere"], "the tasks may write below runs/ only"],
    [["eval", "--checkpoint=elsewhere"], "There is no folder elsewhere"],
  ];
  for (const [args, message] of failing) {
    const run = args.includes("--out=elsewhere") ? runCommand : runInProcess;
    const { code, stderr } = await run(dir, ...args);
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /^error: .+\n$/);
    assertStringIncludes(stderr, message);
  }
  const { stderr } = await runInProcess(dir, "train", "--out=runs/full", "--verbose");
  assertMatch(stderr, /^error: runs.full is not empty.+\n[^]*\n +at .+run_directory\.ts/);
});
