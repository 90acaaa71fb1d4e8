import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { main } from "../../bench/main.ts";
import { test } from "../helpers/test.ts";

test.inDir("the benchmark writes every suite and the machine as JSON", async (dir) => {
  const out = join(dir, "new", "results.json");
  const suites = ["--kernels", "--steps", "--dtypes", "--real", "--profile", "--sweep"];
  const print = console.log;
  const printed: string[] = [];
  console.log = (line: string) => printed.push(line);
  try {
    assertEquals(await main(["--quick", ...suites, "--out", out]), 0);
  } finally {
    console.log = print;
  }
  const results = JSON.parse(await Deno.readTextFile(out));
  assertEquals(Object.keys(results), [
    "machine",
    "kernels",
    "steps",
    "dtypes",
    "real",
    "profile",
    "sweep",
    "targets",
  ]);
  const { ceilings, kernels } = results.kernels;
  assert(ceilings.copyGbytes > 0 && ceilings.matmulGflops > 0);
  assert(kernels.every((kernel: { share: number }) => kernel.share > 0));
  const [step, rollout] = results.steps;
  assertEquals([step.calls.submits, step.calls.buffersCreated], [1, 0]);
  assert(rollout.tokensPerSecond > 0);
  assertEquals(results.real.ours.length, 2);
  for (const { stored: { f32, f16 } } of [...results.dtypes, ...results.real.ours]) {
    assert(f32.cpuMs > 0 && f16.cpuMs > 0 && f32.bytes !== f16.bytes);
  }
  assertEquals(results.profile.length, 2);
  assert(results.profile[0].rows[0].seconds > 0);
  const text = printed.join("\n");
  for (
    const heading of [
      "## Kernels on",
      "## Training steps",
      "## Stored in f32",
      "## Profile",
      "cost as work",
    ]
  ) {
    assert(text.includes(heading), `${heading} is missing`);
  }
});
