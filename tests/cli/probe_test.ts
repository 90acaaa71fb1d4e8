import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_POLICY } from "../helpers/tiny_run.ts";

const SAMPLES = ["--prompts=6", "--num-generations=4"];
const SMALL = [
  ...TINY_POLICY,
  ...["--task=parity", "--num-key-value-heads=2"],
  ...["--warm-start-steps=2", "--warm-start-batch-size=4"],
  ...SAMPLES,
];

test.inDir("probe says what training would have to work with, for people and for scripts", async (dir) => {
  const { code, stdout, stderr } = await runInProcess(dir, "probe", ...SMALL);
  assertEquals(code, 0, stderr);
  const [title, ...lines] = stdout.trimEnd().split("\n");
  const checkpoint = title!.replace("parity: ", "");
  assert(Deno.statSync(`${dir}/${checkpoint}/model.safetensors`).isFile);
  for (
    const label of ["accuracy", "pass@4", "entropy, nats per token", "length of right / wrong"]
  ) {
    assert(lines.some((line) => line.startsWith(label)), `${label} is missing in\n${stdout}`);
  }
  assertStringIncludes(stdout, "6 training prompts, 4 samples each");
  // Advice names flags, not the library's options.
  assertEquals(/\b(numGenerations|maxCompletionLength|dynamicSampling)\b/.test(stdout), false);

  const flags = ["--json", `--checkpoint=${checkpoint}`, ...SAMPLES];
  const again = await runInProcess(dir, "probe", ...flags);
  assertEquals(again.code, 0, again.stderr);
  const report = JSON.parse(again.stdout);
  assertEquals([report.task, report.checkpoint], ["parity", checkpoint]);
  assertEquals([report.samples.prompts, report.samples.numGenerations], [6, 4]);
  const accuracy = `${(100 * report.samples.meanAtN).toFixed(1)} %`;
  assertStringIncludes(lines.find((line) => line.startsWith("accuracy"))!, accuracy);
  assertEquals(report.advice.length >= 2, true);
});

test.inDir("probe refuses flags that do not exist, with a hint", async (dir) => {
  const { code, stderr } = await runInProcess(dir, "probe", "--promts=3");
  assertEquals(code, 2);
  assertStringIncludes(stderr, "did you mean --prompts?");
});
