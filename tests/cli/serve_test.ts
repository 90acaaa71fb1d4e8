import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { runInProcess, runInProcessWith } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_STEPS } from "../helpers/tiny_run.ts";

const TINY = [...TINY_STEPS, ...["--eval-prompts=4", "--num-generations-eval=2", "--max-steps=6"]];

test.inDir("train --serve tells a page everything, and pages that come and go change nothing", async (dir) => {
  const { promise: address, resolve } = Promise.withResolvers<string>();
  const onPrint = (stdout: string) => {
    const url = /^live page: (\S+)\n/m.exec(stdout)?.[1];
    if (url) resolve(url);
  };
  const flags = [...TINY, "--serve=0", "--out=runs/watched"];
  const run = runInProcessWith({ onPrint }, dir, "train", ...flags);
  run.then(({ stderr }) => resolve(`nowhere: ${stderr}`));
  const url = await address;
  assertStringIncludes(await (await fetch(url)).text(), "<title>deltal</title>");
  const gone = await fetch(`${url}events`);
  await gone.body!.cancel();
  const events = await (await fetch(`${url}events`)).text();
  const { code, stdout, stderr } = await run;
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^live page: \S+\n[^]*Done: 6 steps of parity/);

  const told = events.trim().split("\n\n").map((block) => /^event: (\w+)\n/.exec(block)![1]);
  assertEquals(told[0], "snapshot");
  // Steps are in the snapshot or events of their own, whenever the page was opened.
  assertEquals(new Set(events.match(/"training\/global_step":\d+,"reward\/mean"/g)).size, 6);
  assertStringIncludes(events, '"eval/parity/mean@2"');
  assertStringIncludes(events, '"completion":');
  assertEquals(told.at(-1), "end");
  assert(events.endsWith('data: "done"\n\n'), events.slice(-80));

  await runInProcess(dir, "train", ...TINY, "--out=runs/alone", "--quiet");
  for (const name of ["model.safetensors", "optimizer.safetensors", "trainer_state.json"]) {
    const [a, b] = ["watched", "alone"]
      .map((run) => Deno.readFileSync(join(dir, "runs", run, "checkpoint", name)));
    assertEquals(a, b, name);
  }
});

test.inDir("train --serve at a port in use is refused before anything is computed", async (dir) => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr as Deno.NetAddr;
  const { code, stdout, stderr } = await runInProcess(dir, "train", ...TINY, `--serve=${port}`);
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    `error: port ${port} is in use: give --serve another one, or 0 for any that is free\n`,
  );
  assertEquals([...Deno.readDirSync(dir)], []);
});

test.inDir("train --profile tells where the GPU's time went", async (dir) => {
  const flags = [...TINY, "--profile", "--quiet"];
  const { code, stdout, stderr } = await runInProcess(dir, "train", ...flags);
  // Not every device can measure times; then it says so before it begins.
  if (code !== 0) {
    return assertMatch(stderr, /^error: Cannot profile: .+ Run without --profile\n$/);
  }
  assertMatch(
    stdout,
    /Where the GPU's time went\nGPU time \d+\.\d+ s in \d+ dispatches; the device/,
  );
  assertMatch(stdout, /\bkernel\n(.+ %.+\n){12}.+ \d+ others\n/);
  assertMatch(stdout, /\d % {2}(decode|learner): layers\.\*\.\w+\.\w+\.forward {2}\(\w+/);
});
