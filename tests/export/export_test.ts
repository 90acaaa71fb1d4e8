import { aggregationOf } from "../helpers/aggregation.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { exportRun, type RunExport } from "../../src/export/export.ts";
import { trlSettings } from "../../src/export/trl_settings.ts";
import { verlSettings } from "../../src/export/verl_settings.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Policy } from "../../src/model/policy.ts";
import { loadCheckpoint } from "../../src/model/hf_checkpoint.ts";
import { groupAdvantages } from "../../src/objective/advantage.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { taskByName, taskNames } from "../../src/tasks/mod.ts";
import { countdownPrompt, textCountdown } from "../../src/text/countdown.ts";
import { loadTokenizer } from "../../src/text/hf_tokenizer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { writeTinyTextModel } from "../helpers/tiny_text_model.ts";
import { test } from "../helpers/test.ts";

const SOURCES = new URL("../../src/export/", import.meta.url).pathname;

/** Runs a command of the shell; what it is given is its standard input. */
async function shell(
  script: string,
  input = "",
  ...args: string[]
): Promise<{ code: number; output: string }> {
  await using child = new Deno.Command("sh", {
    args: ["-c", script, "sh", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, output: text(stdout) + text(stderr) };
}

const has = async (program: string) => (await shell(`command -v ${program}`)).code === 0;
const withoutPython = !await has("python3");
const withoutBash = !await has("bash");

/** What a Python program that reads JSON and prints JSON makes of a value. */
async function python(program: string, value: unknown): Promise<unknown> {
  const source = `import json, sys
sys.path.insert(0, ${JSON.stringify(SOURCES)})
sys.dont_write_bytecode = True
value = json.load(sys.stdin)
${program}`;
  const { code, output } = await shell('exec python3 -c "$1"', JSON.stringify(value), source);
  assertEquals(code, 0, output);
  return JSON.parse(output);
}

const SCORE =
  "def compute_score(data_source, solution_str, ground_truth, **more):\n    return 1.0\n";

const resolve = (options: Partial<TrainOptions> = {}) =>
  resolveTrainOptions({
    maxSteps: 5,
    learningRate: 1e-6,
    promptsPerStep: 3,
    numGenerations: 4,
    ...options,
  }, 48);

async function withModel(body: (dir: string) => Promise<void>): Promise<void> {
  await inTempDir(async (dir) => {
    const gpu = await openGpu();
    await writeTinyTextModel(gpu, join(dir, "model"), {
      modelType: "qwen3",
      ropeScaling: { ropeType: "linear", factor: 2 },
    });
    await gpu.close();
    await body(dir);
  });
}

Deno.test({
  name: "the exported weights and advantages are those of the library",
  ignore: withoutPython,
  async fn() {
    const lengths = [3, 7, 12, 12, 40, 1, 5, 48, 9, 9, 0, 33];
    const rewards = [1, 0, 0, 1, 0.5, 0, 1, 1, 0, 1, 0, 0.25];
    const groups = lengths.map((_, i) => `p${Math.floor(i / 4)}`);
    const cases: Partial<TrainOptions>[] = [
      {},
      { lossAlpha: 0.75 },
      { lossAlpha: 0 },
      { lossScope: "group" },
      { lossAggregation: "promptMean" },
      { scaleRewards: "batch" },
      { scaleRewards: "none" },
      { advantageEstimator: "rloo" },
      { advantageEstimator: "maxRl" },
      { advantageEstimator: "maxRl", lossAggregation: "grpo" },
      { policyLoss: "gspo" },
      { policyLoss: "gspo", lossAggregation: "dapo" },
      { policyLoss: "gspo", lossAggregation: "drGrpo" },
      { policyLoss: "sapo", lossAggregation: "seqSum" },
    ];
    const inTrl: Partial<TrainOptions>[] = [
      { lossAggregation: "grpo" },
      { lossAggregation: "dapo" },
      { lossAggregation: "drGrpo", lossScaleFactor: 7 },
      { policyLoss: "cispo" },
      { policyLoss: "luspo", lossAggregation: "grpo" },
    ];
    const settings = [
      ...cases.map((options) => verlSettings(resolve(options)).weights),
      ...[...cases, ...inTrl].map((options) => trlSettings(resolve(options)).weights),
    ];
    const found = await python(
      `from response_weights import response_advantages, response_weights
lengths, rewards, groups = value["lengths"], value["rewards"], value["groups"]
print(json.dumps([[response_weights(lengths, groups, s), response_advantages(rewards, groups, s["advantage"])]
  for s in value["settings"]]))`,
      { lengths, rewards, groups, settings },
    ) as [number[], number[]][];
    const filled = lengths.filter((length) => length > 0).length;
    const tokens = lengths.reduce((sum, length) => sum + length, 0);
    for (const [i, options] of [...cases, ...cases, ...inTrl].entries()) {
      const label = JSON.stringify(options);
      const resolved = resolve(options);
      const [factors, advantages] = found[i]!;
      assertClose(
        advantages,
        groupAdvantages(rewards, 4, {
          advantageEstimator: resolved.advantageEstimator,
          ...(resolved.scaleRewards ? { scaleRewards: resolved.scaleRewards } : {}),
        }),
        { tolerance: 1e-12, label },
      );
      // The engine's own weights, by which the factors are multiplied there.
      const own = (length: number) => {
        const mode = settings[i]!.loss_agg_mode;
        if (length === 0) return 0;
        if (mode === "token-mean") return 1 / tokens;
        return 1 / (filled * (mode === "seq-mean-token-mean" ? length : 48));
      };
      const products = factors.map((factor, b) => factor * own(lengths[b]!));
      assertClose(products, lossWeights(lengths, aggregationOf(resolved)), {
        tolerance: 1e-12,
        label,
      });
    }
  },
});

Deno.test({
  name: "the exported CountDown reward is the published one",
  ignore: withoutPython,
  async fn() {
    const { cases } = JSON.parse(
      await Deno.readTextFile(new URL("../fixtures/paper_vectors.json", import.meta.url)),
    ).countdown_reward;
    const asked = cases.map(([text, target, nums]: [string, number, number[]]) => [
      text,
      JSON.stringify({ nums, target }),
    ]);
    asked.push(["<answer>44**19**35</answer>", '{"nums": [44, 19, 35], "target": 60}']);
    asked.push([`<answer>${"(".repeat(1e5)}1</answer>`, '{"nums": [1], "target": 1}']);
    const found = await python(
      `from countdown_reward import compute_score
print(json.dumps([compute_score("countdown-text", text, truth) for text, truth in value]))`,
      asked,
    );
    const scores = [...cases.map((c: unknown[]) => c[4]), 0, 0];
    assertEquals(found, scores.map((score) => ({ score, acc: score })));
  },
});

Deno.test("exportRun() writes model, prompts, reward and settings", async () => {
  await withModel(async (dir) => {
    const model = join(dir, "model");
    const task = textCountdown({
      tokenizer: await loadTokenizer(model),
      maxPromptLength: 300,
      maxCompletionLength: 48,
      problems: Array.from({ length: 16 }, (_, i) => ({ nums: [i + 1, 2, 3], target: i + 6 })),
    });
    const out = join(dir, "verl");
    const generation = {
      temperature: 0.7,
      top_p: 0.9,
      eos_token_id: [352, 354],
      pad_token_id: null,
    };
    await Deno.writeTextFile(join(model, "generation_config.json"), JSON.stringify(generation));
    await exportRun(out, "verl", { model, task, options: resolve() });
    assertEquals([...Deno.readDirSync(out)].map(({ name }) => name).sort(), [
      "README.md",
      "deltal_verl.json",
      "deltal_verl.py",
      "eval.parquet",
      "model",
      "response_weights.py",
      "reward.py",
      "run.sh",
      "train.parquet",
    ]);

    // The weights are the same; texts pass through the tokenizer's template, whose own is kept.
    using original = await loadCheckpoint(model);
    using exported = await loadCheckpoint(join(out, "model"));
    assertEquals(exported.config, original.config);
    assertEquals(exported.config.normedHeads, true);
    assertEquals(exported.config.generationDefaults, { temperature: 0.7, top_p: 0.9 });
    for (const name of original.names) {
      assertEquals(await exported.readFloat32(name), await original.readFloat32(name));
    }
    const { encodeChat, decode } = await loadTokenizer(join(out, "model"), { chatTemplate: true });
    const prompt = countdownPrompt([1, 2, 3], 6);
    assertEquals(encodeChat!([{ role: "user", content: prompt }]), task.tokenizer.encode(prompt));
    const kept = await Deno.readTextFile(join(out, "model", "chat_template.original.jinja"));
    assert(kept.includes("<|im_start|>"));
    assertEquals(decode([65]), task.tokenizer.decode([65]));

    // Every problem is in one of the files once.
    const rows = async (split: string) => {
      const { buffer } = await Deno.readFile(join(out, `${split}.parquet`));
      return await parquetReadObjects({ file: buffer });
    };
    const [train, held] = [await rows("train"), await rows("eval")];
    assertEquals([train.length, held.length], [14, 2]);
    assertEquals(
      [...train, ...held].map((row) => JSON.parse(row.reward_model.ground_truth).target).sort((
        a,
        b,
      ) => a - b),
      Array.from({ length: 16 }, (_, i) => i + 6),
    );
    for (const [i, row] of train.entries()) {
      const { nums, target } = JSON.parse(row.reward_model.ground_truth);
      assertEquals(row, {
        data_source: "countdown-text",
        prompt: [{ role: "user", content: countdownPrompt(nums, target) }],
        ability: "reasoning",
        reward_model: { style: "rule", ground_truth: JSON.stringify({ nums, target }) },
        extra_info: { split: "train", index: BigInt(i) },
      });
    }
  });
});

Deno.test({
  name: "the exported launch script calls verl with every setting, from anywhere",
  ignore: withoutBash,
  async fn() {
    await withModel(async (dir) => {
      const model = join(dir, "model");
      const task = textCountdown({
        tokenizer: await loadTokenizer(model),
        maxPromptLength: 300,
        maxCompletionLength: 48,
      });
      const out = join(dir, "a folder");
      await exportRun(out, "verl", {
        model,
        task,
        options: resolve(),
        trainPrompts: 3,
        evalPrompts: 2,
      });
      // A python3 that tells how it was called.
      const bin = join(dir, "bin");
      await Deno.mkdir(bin);
      const spy =
        '#!/bin/sh\necho "$PYTHONPATH $VERL_USE_EXTERNAL_MODULES"\nprintf "%s\\\\n" "$@"\n';
      await Deno.writeTextFile(join(bin, "python3"), spy, { mode: 0o755 });
      const { code, output } = await shell(
        `cd / && PATH="${bin}:$PATH" PYTHONPATH=before GPUS=2 bash "${out}/run.sh" trainer.val_only=True`,
      );
      assertEquals(code, 0, output);
      const [environment, ...args] = output.trimEnd().split("\n");
      assertEquals(environment, `${out}:before deltal_verl`);
      assertEquals(args.slice(0, 2), ["-m", "verl.trainer.main_ppo"]);
      assertEquals(args.at(-1), "trainer.val_only=True");
      const given = new Map(
        args.slice(2).map((arg) => {
          const at = arg.indexOf("=");
          return [arg.slice(0, at), arg.slice(at + 1)] as const;
        }),
      );
      assertEquals(given.size, args.length - 2, "no setting twice");
      for (const [key, value] of verlSettings(resolve()).overrides) {
        assertEquals(given.get(key), value, key);
      }
      assertEquals(given.get("data.train_files"), `${out}/train.parquet`);
      assertEquals(given.get("actor_rollout_ref.model.path"), `${out}/model`);
      assertEquals(given.get("data.max_prompt_length"), "300");
      assertEquals(given.get("trainer.n_gpus_per_node"), "2");
      assertEquals(given.get("actor_rollout_ref.actor.optim.betas"), "[0.9,0.999]");
    });
  },
});

Deno.test("exportRun() refuses before it writes", async () => {
  await withModel(async (dir) => {
    const model = join(dir, "model");
    const tokenizer = await loadTokenizer(model, { chatTemplate: true });
    const own = (prompts: readonly (string | { prompt: { role: string; content: string }[] })[]) =>
      defineTask({
        name: "own",
        tokenizer,
        prompts: prompts.map((p) => typeof p === "string" ? { prompt: p } : p),
        verify: () => 1,
        maxCompletionLength: 8,
      });
    const chat = { prompt: [{ role: "user", content: "hi" }] };
    const reward =
      "def compute_score(data_source, solution_str, ground_truth, **more):\n    return 1.0\n";
    const good: RunExport = { model, task: own(["a", "b"]), options: resolve(), reward };
    const cases: [change: Partial<RunExport>, message: string][] = [
      [{ reward: undefined }, "The verifier of own is not in Python"],
      [{ reward: "def score(): pass" }, "must define compute_score"],
      [{ task: own(["a", chat, "b", "c"]) }, "all texts or all conversations"],
      [{ options: resolve({ policyLoss: "gmpo" }) }, "policyLoss is gmpo"],
    ];
    const out = join(dir, "out");
    for (const [change, message] of cases) {
      await assertRejects(() => exportRun(out, "verl", { ...good, ...change }), Error, message);
      await assertRejects(() => Deno.stat(out), Deno.errors.NotFound);
    }
    // Conversations keep the model's own template.
    await exportRun(out, "verl", {
      ...good,
      task: own([chat]),
      options: resolve({ preset: "drGrpo" }),
    });
    const config = JSON.parse(await Deno.readTextFile(join(out, "model", "tokenizer_config.json")));
    assert(config.chat_template.includes("<|im_start|>"));
    const names = [...Deno.readDirSync(out)].map(({ name }) => name);
    assert(!names.includes("deltal_verl.py"), "drGrpo needs nothing registered");
  });
});

test.inDir("exportRun() to TRL: a task over symbols of its own becomes text", async (dir) => {
  const gpu = await openGpu();
  try {
    for (const name of taskNames) {
      const task = taskByName(name);
      const { vocabulary, padTokenId, eosTokenId } = task;
      const shape = {
        hiddenSize: 8,
        intermediateSize: 8,
        numHiddenLayers: 1,
        numAttentionHeads: 1,
      };
      const vocabSize = vocabulary.length;
      const policy = Policy.create(gpu, { ...shape, vocabSize, padTokenId, eosTokenId });
      const model = join(dir, name, "policy");
      await policy.save(model);
      policy.destroy();
      const out = join(dir, name, "trl");
      const reward = "reward_funcs = [len]\n";
      const counts = { trainPrompts: 3, evalPrompts: 2 };
      const { start } = await exportRun(out, "trl", {
        model,
        task,
        options: resolve(),
        reward,
        ...counts,
      });
      assertEquals(start, "train.py");
      assertEquals([...Deno.readDirSync(out)].map(({ name }) => name).sort(), [
        "README.md",
        "deltal_trl.json",
        "eval.parquet",
        "grpo.yaml",
        "model",
        "response_weights.py",
        "reward.py",
        "train.parquet",
        "train.py",
      ]);
      const tokenizer = await loadTokenizer(join(out, "model"));
      assertEquals(tokenizer.eosTokenIds, [eosTokenId]);
      const { buffer } = await Deno.readFile(join(out, "train.parquet"));
      for (const [i, row] of (await parquetReadObjects({ file: buffer })).entries()) {
        const { promptIds, metadata } = task.problem("train", 42, i);
        assertEquals(tokenizer.encode(row.prompt), promptIds);
        assertEquals(JSON.parse(row.ground_truth), JSON.parse(JSON.stringify(metadata)));
        const { completionIds } = task.demonstration!(42, i);
        assertEquals(tokenizer.encode(task.describe(completionIds.slice(0, -1))), [
          ...completionIds.slice(0, -1),
        ]);
      }
    }
  } finally {
    await gpu.close();
  }
});

test.inDir("exportRun() of a policy that names neither end nor padding says both", async (dir) => {
  const gpu = await openGpu();
  try {
    const task = taskByName("parity");
    const { vocabulary, padTokenId, eosTokenId } = task;
    const model = join(dir, "policy");
    const size = { vocabSize: vocabulary.length, hiddenSize: 8, numHiddenLayers: 1 };
    for (const [config, limited] of [[{}, true], [{ padTokenId }, false]] as const) {
      const policy = Policy.create(gpu, { ...size, ...config, numAttentionHeads: 1 });
      await policy.save(model);
      policy.destroy();
      for (
        const [engine, reward] of [["trl", "reward_funcs = [len]\n"], ["verl", SCORE]] as const
      ) {
        const out = join(dir, engine);
        const what = { model, task, options: resolve(), reward, trainPrompts: 3, evalPrompts: 2 };
        const { limits } = await exportRun(out, engine, what);
        // Both reward functions get texts without special tokens.
        const stated = limits.filter((limit) => limit.includes("padding (<pad>, id 0)"));
        assertEquals(stated.length, limited ? 1 : 0, engine);
        assertEquals(
          (await Deno.readTextFile(join(out, "README.md"))).includes(stated[0] ?? "#"),
          true,
        );
        for (const file of ["config.json", "generation_config.json"]) {
          const { eos_token_id } = JSON.parse(await Deno.readTextFile(join(out, "model", file)));
          assertEquals(eos_token_id, eosTokenId, `${engine}: ${file}`);
        }
      }
    }
  } finally {
    await gpu.close();
  }
});

Deno.test("export hands a run over by command line", async () => {
  await withModel(async (dir) => {
    const common = [
      "--task=countdown-text",
      "--checkpoint=model",
      "--train-prompts=5",
      "--held-prompts=2",
    ];
    for (const [to, start] of [["trl", "train.py"], ["verl", "run.sh"]] as const) {
      const written = await runInProcess(dir, "export", ...common, "--to", to, "--loss-alpha=0.75");
      assertEquals(written.code, 0, written.stderr);
      assert(written.stdout.includes(`${start} starts ${to}`), written.stdout);
      const json = await Deno.readTextFile(join(dir, "runs", to, `deltal_${to}.json`));
      assertEquals(JSON.parse(json).alpha, 0.75);
    }
    const again = await runInProcess(dir, "export", ...common);
    assertEquals([again.code, again.stderr.includes("is not empty: give another with --out")], [
      1,
      true,
    ], again.stderr);
    const loss = ["--out=runs/b", "--policy-loss=gmpo"];
    const refused = await runInProcess(dir, "export", ...common, ...loss);
    assertEquals(
      [refused.code, refused.stderr.includes("--policy-loss is gmpo, which TRL cannot do")],
      [2, true],
      refused.stderr,
    );
  });
});
