import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { openGpu } from "../../src/gpu/open.ts";
import { Policy } from "../../src/model/policy.ts";
import { writeReport, writeRunsReport } from "../../src/report/report.ts";
import { train } from "../../src/rl/train.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { loadTokenizer } from "../../src/text/hf_tokenizer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { test } from "../helpers/test.ts";

/** What TRL and verl left behind: `make_engines.py` beside it names the versions. */
const ENGINES = new URL("../fixtures/engines/", import.meta.url).pathname;

Deno.test("what TRL and verl trained comes back, and training goes on", async () => {
  const { sequence, ...logits } = JSON.parse(await Deno.readTextFile(join(ENGINES, "logits.json")));
  const tokenizer = await loadTokenizer(join(ENGINES, "trl"));
  const gpu = await openGpu();
  try {
    for (const [name, expected] of Object.entries(logits)) {
      const dir = join(ENGINES, name);
      using policy = Object.assign(await Policy.load(gpu, dir), {
        [Symbol.dispose](this: Policy) {
          this.destroy();
        },
      });
      assertClose(await policy.logits([sequence]), expected as number[], {
        tolerance: 2e-5,
        label: name,
      });
      assertEquals(policy.parameters.adapters !== undefined, name === "trl-lora");
      const task = defineTask({
        name: "ones",
        tokenizer,
        prompts: ["00:", "10:", "01:", "11:"],
        verify: ({ completion }) => completion.split("1").length - 1,
        maxCompletionLength: 4,
      });
      const options = { maxSteps: 1, promptsPerStep: 2, numGenerations: 4, learningRate: 1e-2 };
      for await (const { metrics } of train({ policy, task, ...options })) {
        assert(metrics["actor/grad_norm"]! > 0, name);
      }
      const [before, after] = [expected as number[], await policy.logits([sequence])];
      assert(after.some((value, i) => Math.abs(value - before[i]!) > 1e-4), `${name} did not move`);
    }
  } finally {
    await gpu.close();
  }
});

test.inDir("runs of TRL and verl stand in a report beside deltal's", async (dir) => {
  const own = join(dir, "own");
  await Deno.mkdir(own);
  const line = { "training/global_step": 0, "reward/mean": 0.5, "eval/digits/mean@4": 0.125 };
  await Deno.writeTextFile(join(own, "config.json"), JSON.stringify({ task: "digits" }));
  await Deno.writeTextFile(join(own, "metrics.jsonl"), JSON.stringify(line) + "\n");
  // As `export` writes and train.py leaves it.
  const exported = join(dir, "exported");
  await Deno.mkdir(join(exported, "checkpoints"), { recursive: true });
  await Deno.copyFile(
    join(ENGINES, "trl/trainer_state.json"),
    join(exported, "checkpoints/trainer_state.json"),
  );
  const settings = { task: "digits", aggregation: "deltaL", alpha: 0.75 };
  await Deno.writeTextFile(join(exported, "deltal_trl.json"), JSON.stringify(settings));
  await Deno.writeTextFile(join(exported, "grpo.yaml"), "num_generations_eval: 4\n");
  const folders = [own, exported, join(ENGINES, "verl")];
  const { path } = await writeRunsReport(folders, join(dir, "all"));
  const html = await Deno.readTextFile(path);
  for (
    const text of [
      "3 runs of digits",
      "<td>exported</td><td>ΔL α = 0.75</td><td>–</td><td>2</td><td>0.625 (0.375)</td>",
      "<td>verl</td><td>training</td><td>–</td><td>2</td><td>0.500 (0.000)</td>",
      "<td>engine</td><td>–</td><td>TRL</td><td>verl</td>",
      ">Training reward<",
      ">Held-out problems<",
      ">Response length<",
    ]
  ) assertStringIncludes(html, text);

  // One alone, and damaged.
  await Deno.mkdir(join(dir, "verl"));
  const log = await Deno.readTextFile(join(ENGINES, "verl/metrics.jsonl"));
  const copy = join(dir, "verl/metrics.jsonl");
  await Deno.writeTextFile(copy, log + '{"step":3,"da'); // killed while it wrote
  const alone = await writeReport(join(dir, "verl"));
  assertStringIncludes(await Deno.readTextFile(alone.path), "1 run of digits");
  await Deno.writeTextFile(copy, log + "no line\n");
  const error = await writeReport(join(dir, "verl")).catch((error) => error);
  assertStringIncludes(error.message, "line 4 is not of verl's logger");
});
