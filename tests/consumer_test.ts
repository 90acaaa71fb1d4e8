/**
 * The package as a stranger gets it: from a registry, into an empty folder, without this
 * repository's settings.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { pathToFileURL } from "node:url";
import { tinyWith } from "./helpers/bad_input.ts";
import { inTempDir } from "./helpers/temp_dir.ts";
import { test } from "./helpers/test.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const REGISTRY = `${ROOT}tests/helpers/jsr_registry.ts`;

function* filesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* filesBelow(path);
    else yield path;
  }
}

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

/** What one tries who builds on the engine. */
const MODEL = `
import { openGpu } from "jsr:@deltal/deltal";
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
await gpu.close();
`;

const TEXT = `
import { countdownReward, loadTokenizer } from "jsr:@deltal/deltal/text";
const { encode, decode } = await loadTokenizer(Deno.args[0]!);
const text = decode(encode("<answer>44-19+35</answer>"));
console.log(text, countdownReward(text, { nums: [44, 19, 35], target: 60 }));
`;

/** What is loaded from the registry's package to run a module of a folder. */
interface Graph {
  readonly specifiers: string[];
  readonly npmPackages: unknown;
}

/** A folder of someone who has nothing but the registry. */
class Stranger {
  readonly #dir: string;
  readonly #env: Record<string, string>;

  constructor(dir: string, registry: string) {
    this.#dir = dir;
    this.#env = { JSR_URL: registry, NO_COLOR: "1" };
  }

  /** Runs deno with a cache of its own, or with packages from npm that this test's cache has. */
  async deno(args: string[], { npm = false } = {}) {
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args,
      cwd: this.#dir,
      env: npm ? this.#env : { ...this.#env, DENO_DIR: `${this.#dir}/cache` },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Nothing of it may be missing. */
  async graph(module: string): Promise<Graph> {
    const info = await this.deno(["info", "--json", module]);
    const { modules, npmPackages } = JSON.parse(info.stdout);
    assertEquals(modules.filter(({ error }: { error?: string }) => error), []);
    return {
      specifiers: modules.map(({ specifier }: { specifier: string }) => specifier),
      npmPackages,
    };
  }
}

async function withRegistry(
  published: string,
  body: (dir: string, registry: string) => Promise<void>,
): Promise<void> {
  await using server = new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-run=deno", "--allow-net=127.0.0.1"],
      ...[`--allow-write=${published}`, REGISTRY, published],
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

test.inDir("the published package", async (published, t) => {
  await withRegistry(published, async (dir, registry) => {
    const stranger = new Stranger(dir, registry);
    for (const [name, source] of [["main", PROGRAM], ["model", MODEL], ["text", TEXT]]) {
      await Deno.writeTextFile(`${dir}/${name}.ts`, source!);
    }

    await t.step("kernels are modules of their files' text, and nothing imports text", async () => {
      const sources = ["kernels", "src"].flatMap((folder) => [...filesBelow(ROOT + folder)])
        .filter((path) => !path.endsWith(".ts"));
      assert(sources.some((path) => path.endsWith("/kernels/adamw.wgsl")));
      for (const path of sources) {
        const module = `${published}/${path.slice(ROOT.length)}.ts`;
        const { default: text } = await import(pathToFileURL(module).href);
        assertEquals(text, await Deno.readTextFile(path), path);
      }
      for (const path of filesBelow(published)) {
        assert(/\.(?:ts|json|md)$|\/LICENSE$/.test(path), path);
        if (!path.endsWith(".ts") || path.startsWith(`${published}/kernels`)) continue;
        assert(!/\bwith \{ type/.test(await Deno.readTextFile(path)), path);
      }
    });

    await t.step("programs of a stranger type-check", async () => {
      const modules = ["main.ts", "model.ts", "text.ts"];
      const { code, stderr } = await stranger.deno(["check", ...modules], { npm: true });
      assertEquals(code, 0, stderr);
    });

    await t.step("a task of one's own trains without any permission", async () => {
      assert(PROGRAM.trim().split("\n").length < 33);
      const run = await stranger.deno(["run", "--no-prompt", "main.ts"]);
      assertEquals(run.code, 0, run.stderr);
      const step = "rewards/exact/mean,rewards/exact/std,rewards/near/mean,rewards/near/std";
      assertEquals(run.stdout, `step 1 ${step}\nstep 2 ${step}\nmean true\nsample true\n`);

      // The graph of the library: kernels, no command line, and not a single package from npm.
      const { specifiers, npmPackages } = await stranger.graph("main.ts");
      assertEquals(npmPackages, {});
      assert(specifiers.some((name) => name.endsWith("/kernels/adamw.wgsl.ts")));
      assertEquals(specifiers.filter((name) => name.includes("/src/cli/")), []);
    });

    await t.step("the entry points for the engine and the lab share its classes", async () => {
      const run = await stranger.deno(["run", "--no-prompt", "model.ts"]);
      assertEquals([run.code, run.stdout], [0, "true [ 11 ]\n0.5\n"], run.stderr);
    });

    await t.step("the entry point for text reads a tokenizer, with packages from npm", async () => {
      const fixture = new URL("fixtures/tiny-bpe", import.meta.url).pathname;
      const args = ["run", "--allow-read", "text.ts", fixture];
      const run = await stranger.deno(args, { npm: true });
      assertEquals([run.code, run.stdout], [0, "<answer>44-19+35</answer> 1\n"], run.stderr);
      const loaded = (await stranger.graph("text.ts")).specifiers;
      assert(loaded.some((name) => name.endsWith("/src/text/mod.ts")));
      const engine = /\/(kernels|src\/(gpu|ops|model|optim|rl))\//;
      assertEquals(loaded.filter((name) => engine.test(name)), []);
    });

    await t.step("the command line trains, saves and evaluates in an empty folder", async () => {
      const permissions = ["--no-prompt", "--allow-read=.", "--allow-write=runs"];
      const cli = (...args: string[]) =>
        stranger.deno(["run", ...permissions, "jsr:@deltal/deltal/cli", ...args]);
      const trained = await cli("train", ...tinyWith("--max-steps=1"));
      assertEquals(trained.code, 0, trained.stderr);
      const evaluated = await cli("eval", "--eval-prompts", "2", "--json");
      assertEquals(evaluated.code, 0, evaluated.stderr);
      assertEquals(JSON.parse(evaluated.stdout).task, "parity");
      const unknown = await cli("trian");
      assertEquals(unknown.code, 2);
      assertMatch(unknown.stderr, /did you mean train\?/);
    });
  });
});
