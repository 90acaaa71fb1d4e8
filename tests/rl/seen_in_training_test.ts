import { assertEquals } from "@std/assert";
import { describeHeldOut, promptsAsked, seenInTraining } from "../../src/rl/seen_in_training.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import { defineTask, type TaskDefinition } from "../../src/task/define_task.ts";
import { randomPrompts } from "../../src/task/random_prompts.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import { Random } from "../../src/random/random.ts";
import { parity } from "../../src/tasks/parity.ts";

const task = (change: Pick<TaskDefinition, "prompts" | "evalPrompts">) =>
  defineTask({
    name: "sums",
    tokenizer: symbolTokenizer("0123456789+"),
    maxPromptLength: 5,
    maxCompletionLength: 2,
    verify: () => 1,
    ...change,
  });

const drawn = (random: Random) => ({ prompt: `${random.integer(10)}+${random.integer(10)}` });

const sentence = (of: ReturnType<typeof task>, evalPrompts: number, trainPrompts = 500) =>
  describeHeldOut(evalPrompts, of, seenInTraining(of, { seed: 42, evalPrompts, trainPrompts }));

Deno.test("what an evaluation says of its prompts is so", () => {
  const list = Array.from({ length: 40 }, (_, i) => String(i));
  assertEquals(sentence(task({ prompts: list }), 5), "on all 5 prompts that training never sees");
  assertEquals(sentence(task({ prompts: list }), 4), "on 4 prompts that training never sees");
  assertEquals(
    sentence(task({ prompts: ["1+1"] }), 1),
    "on all 1 prompt, which training asks too: the figures do not speak of new prompts",
  );
  assertEquals(
    sentence(task({ prompts: list, evalPrompts: ["3", "4", "50"] }), 3),
    "on all 3 prompts, 2 of which training asks too: the figures do not speak of new prompts alone",
  );
  // A function that does not look at the split poses some problems in both.
  const careless = task({
    prompts: (split, seed, index) => drawn(new Random(seed, split === "train" ? 1 : 2, index)),
  });
  const seen = seenInTraining(careless, { seed: 42, evalPrompts: 20, trainPrompts: 100 });
  const prompts = (split: "train" | "eval", n: number) =>
    Array.from({ length: n }, (_, i) => careless.problem(split, 42, i).metadata.prompt);
  const trained = new Set(prompts("train", 100));
  assertEquals(seen, prompts("eval", 20).filter((prompt) => trained.has(prompt)).length);
  assertEquals(seen > 5, true);
  assertEquals(
    describeHeldOut(20, careless, undefined),
    "on 20 prompts; the task does not say that training never sees them",
  );
  assertEquals(describeHeldOut(20, careless, 0), "on 20 prompts, none of which training has asked");
  assertEquals(parity().heldOut, true);
});

Deno.test("randomPrompts() keeps train and eval apart, disguises with them", () => {
  const keyOf = ({ prompt }: { prompt: string }) => prompt.split("+").map(Number).sort();
  const sums = task({ prompts: randomPrompts(drawn, { keyOf }) });
  const problems = (split: "train" | "eval", seed: number) =>
    Array.from({ length: 400 }, (_, i) => keyOf(sums.problem(split, seed, i).metadata as never));
  const trained = new Set(problems("train", 1).map((key) => key.join()));
  const held = [...problems("eval", 1), ...problems("eval", 2)].map((key) => key.join());
  assertEquals(held.filter((key) => trained.has(key)), []);
  // Of 55 sums about an eighth is held out, and all others are asked.
  assertEquals(trained.size + new Set(held).size, 55);
  assertEquals(sums.problem("train", 1, 7), sums.problem("train", 1, 7));
  assertEquals(sums.heldOut, true);
  const texts = task({ prompts: randomPrompts(drawn) });
  const of = (split: "train" | "eval") =>
    new Set(
      Array.from({ length: 400 }, (_, i) => texts.problem(split, 1, i).metadata.prompt as string),
    );
  assertEquals([...of("eval")].filter((prompt) => of("train").has(prompt)), []);
});

Deno.test("promptsAsked() counts every rollout that a step may need", () => {
  const options = { maxSteps: 3, learningRate: 1, promptsPerStep: 4 };
  assertEquals(promptsAsked(resolveTrainOptions(options, 8), 3), 12);
  const dynamic = { ...options, dynamicSampling: true, maxGenBatches: 5 };
  assertEquals(promptsAsked(resolveTrainOptions(dynamic, 8), 3), 60);
});
