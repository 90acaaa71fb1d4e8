/**
 * The package as a stranger gets it: from a registry, into an empty folder, without this
 * repository's settings.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { inTempDir } from "./helpers/temp_dir.ts";

const REGISTRY = new URL("helpers/jsr_registry.ts", import.meta.url).pathname;

/** What a stranger tries first: a task of their own in under 30 lines. */
const PROGRAM = `
import { defineTask, evaluate, openGpu, Policy, symbolTokenizer, train } from "jsr:@deltal/deltal";

const tokenizer = symbolTokenizer("abc");
const task = defineTask({
  name: "echo-twice",
  tokenizer,
  prompts: [..."abc"].map((prompt) => ({ prompt, answer: prompt + prompt })),
  verify: {
    exact: ({ completion, row }) => completion === row.answer,
    near: async ({ completion, row }) => completion.startsWith(await row.prompt) ? 0.5 : 0,
  },
  maxCompletionLength: 4,
});
const gpu = await openGpu();
const policy = Policy.create(gpu, { vocabSize: 5, hiddenSize: 16, numHiddenLayers: 1 });
const request = { policy, task, maxSteps: 2, learningRate: 0.01, promptsPerStep: 2 };
for await (const { step, metrics } of train(request)) {
  console.log("step", step, Object.keys(metrics).filter((key) => key.startsWith("rewards/")).join());
}
const { meanAtN } = await evaluate(policy, task, { prompts: 2, numGenerations: 2 });
console.log("mean", meanAtN >= 0 && meanAtN <= 1.5);
const options = { maxCompletionLength: 4, eosTokenIds: task.eosTokenIds! };
for await (const { completion } of policy.stream([tokenizer.encode("b")], options)) {
  console.log("sample", tokenizer.decode(completion).length <= 4);
}
policy.destroy();
await gpu.close();
`;

/** Runs deno in a folder as someone who has nothing but the registry. */
async function deno(
  cwd: string,
  registry: string,
  args: string[],
  env: Record<string, string> = { DENO_DIR: `${cwd}/cache` },
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args,
    cwd,
    env: { JSR_URL: registry, NO_COLOR: "1", ...env },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** What is loaded to run a module of a folder; nothing of it may be missing. */
async function graph(
  dir: string,
  registry: string,
  module: string,
): Promise<{ specifiers: string[]; npmPackages: unknown }> {
  const info = await deno(dir, registry, ["info", "--json", module]);
  const { modules, npmPackages } = JSON.parse(info.stdout);
  assertEquals(modules.filter(({ error }: { error?: string }) => error), []);
  return {
    specifiers: modules.map(({ specifier }: { specifier: string }) => specifier),
    npmPackages,
  };
}

async function withRegistry(body: (dir: string, registry: string) => Promise<void>): Promise<void> {
  await using server = new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-run=deno",
      "--allow-net=127.0.0.1",
      REGISTRY,
    ],
    stdout: "piped",
  }).spawn();
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const { value: address } = await reader.read();
    assert(address, "the registry did not start");
    await inTempDir((dir) => body(dir, address.trim()));
  } finally {
    server.kill();
    await reader.cancel();
  }
}

Deno.test("the published package: a stranger's program type-checks and runs without any permission", async () => {
  await withRegistry(async (dir, registry) => {
    assert(PROGRAM.trim().split("\n").length < 33);
    await Deno.writeTextFile(`${dir}/main.ts`, PROGRAM);
    const run = await deno(dir, registry, ["run", "--check", "--no-prompt", "main.ts"]);
    assertEquals(run.code, 0, run.stderr);
    const step = "rewards/exact/mean,rewards/exact/std,rewards/near/mean,rewards/near/std";
    assertEquals(run.stdout, `step 1 ${step}\nstep 2 ${step}\nmean true\nsample true\n`);

    // The graph of the library: kernels, no command line, and not a single package from npm.
    const { specifiers, npmPackages } = await graph(dir, registry, "main.ts");
    assertEquals(npmPackages, {});
    assert(specifiers.some((name) => name.endsWith("/kernels/adamw.wgsl")));
    assertEquals(specifiers.filter((name) => name.includes("/src/cli/")), []);
  });
});

Deno.test("the published entry point for text reads a tokenizer, with packages from npm", async () => {
  await withRegistry(async (dir, registry) => {
    await Deno.writeTextFile(
      `${dir}/text.ts`,
      `import { countdownReward, loadTokenizer } from "jsr:@deltal/deltal/text";
       const { encode, decode } = await loadTokenizer(Deno.args[0]!);
       const text = decode(encode("<answer>44-19+35</answer>"));
       console.log(text, countdownReward(text, { nums: [44, 19, 35], target: 60 }));`,
    );
    const fixture = new URL("fixtures/tiny-bpe", import.meta.url).pathname;
    // Packages come from the cache this test runs with.
    const run = await deno(
      dir,
      registry,
      ["run", "--check", "--allow-read", "text.ts", fixture],
      {},
    );
    assertEquals([run.code, run.stdout], [0, "<answer>44-19+35</answer> 1\n"], run.stderr);
    const loaded = (await graph(dir, registry, "text.ts")).specifiers;
    assert(loaded.some((name) => name.endsWith("/src/text/mod.ts")));
    const engine = /\/(kernels|src\/(gpu|ops|model|optim|rl))\//;
    assertEquals(loaded.filter((name) => engine.test(name)), []);
  });
});

Deno.test("the published entry points for the engine and for experiments share the library's classes", async () => {
  await withRegistry(async (dir, registry) => {
    await Deno.writeTextFile(
      `${dir}/model.ts`,
      `import { openGpu } from "jsr:@deltal/deltal";
       import { Gpu, linear, Plan, readTensor, submit } from "jsr:@deltal/deltal/engine";
       import { estimatorStatistics } from "jsr:@deltal/deltal/lab";
       const gpu: Gpu = await openGpu();
       const plan = new Plan(gpu, "model");
       const tensor = (data: number[]) => gpu.tensor([1, 2], { data });
       const y = plan.keep(linear(plan, tensor([1, 2]), tensor([3, 4])));
       await plan.compile();
       submit(gpu, [plan]);
       console.log(gpu instanceof Gpu, [...await readTensor(gpu, y)]);
       console.log(estimatorStatistics([2, 2], [0.25, 0.25]).meanFactor);
       await gpu.close();`,
    );
    const run = await deno(dir, registry, ["run", "--check", "--no-prompt", "model.ts"]);
    assertEquals([run.code, run.stdout], [0, "true [ 11 ]\n0.5\n"], run.stderr);
  });
});

Deno.test("the published command line trains, saves and evaluates in an empty folder", async () => {
  await withRegistry(async (dir, registry) => {
    const cli = (...args: string[]) =>
      deno(dir, registry, [
        "run",
        "--no-prompt",
        "--allow-read=.",
        "--allow-write=runs",
        "jsr:@deltal/deltal/cli",
        ...args,
      ]);
    const small = ["warm-start-steps=0", "max-steps=1", "prompts-per-step=2", "num-generations=4"];
    const quick = ["num-generations-eval=4", "eval-prompts=2"];
    const trained = await cli("train", ...[...small, ...quick].map((flag) => `--${flag}`));
    assertEquals(trained.code, 0, trained.stderr);
    const evaluated = await cli("eval", "--eval-prompts", "2", "--json");
    assertEquals(evaluated.code, 0, evaluated.stderr);
    assertEquals(JSON.parse(evaluated.stdout).task, "parity");
    const unknown = await cli("trian");
    assertEquals(unknown.code, 2);
    assertMatch(unknown.stderr, /did you mean train\?/);
  });
});
