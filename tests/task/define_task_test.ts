import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { defineTask, type TaskDefinition } from "../../src/task/define_task.ts";
import { judge } from "../../src/task/judge.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";

const tokenizer = symbolTokenizer("0123456789+=");

interface Sum {
  readonly prompt: string;
  readonly answer: string;
}

const SUMS: Sum[] = [[1, 2], [3, 4], [5, 6], [7, 8]].map(([a, b]) => ({
  prompt: `${a}+${b}=`,
  answer: String(a! + b!),
}));

function sums(change: Partial<TaskDefinition<Sum>> = {}) {
  return defineTask<Sum>({
    name: "sums",
    tokenizer,
    prompts: SUMS,
    verify: ({ completion, row }) => completion === row.answer,
    maxCompletionLength: 4,
    ...change,
  });
}

/** The ids of a text with the end of sequence behind it. */
const ended = (text: string) => [...tokenizer.encode(text), 1];

Deno.test("defineTask() makes a task whose verifier sees texts, ids and the row", async () => {
  const seen: unknown[] = [];
  const task = sums({
    verify: (sample) => {
      seen.push(sample);
      return 0.25;
    },
  });
  assertEquals(task.vocabulary.length, 14);
  assertEquals([task.eosTokenId, task.padTokenId, task.maxPromptLength], [1, 0, 4]);
  const { promptIds, metadata } = task.problem("train", 0, 0);
  assertEquals(tokenizer.decode(promptIds), metadata.prompt);
  assertEquals(await task.verify(metadata, ended("11")), 0.25);
  assertEquals(await task.verify(metadata, tokenizer.encode("11")), 0.25);
  const sample = { row: metadata, prompt: metadata.prompt, completion: "11" };
  assertEquals(seen, [
    { ...sample, completionIds: [3, 3, 1], truncated: false },
    { ...sample, completionIds: [3, 3], truncated: true },
  ]);
  assertEquals(task.describe([3, 1]), "1<eos>");
});

Deno.test("defineTask(): prompts may be texts, ids, or computed", async () => {
  const texts = defineTask({
    name: "t",
    tokenizer,
    prompts: ["1=", [4, 2]].map((prompt) => ({ prompt })),
    evalPrompts: ["3="],
    verify: ({ prompt }) => prompt.length,
    maxCompletionLength: 2,
  });
  assertEquals(texts.problem("eval", 0, 5).promptIds, [5, 13]);
  assertEquals(await texts.verify({ prompt: [4, 2] }, [1]), 2);
  const computed = defineTask({
    name: "c",
    tokenizer,
    prompts: (split, seed, index) => `${split === "train" ? 1 : 2}${seed}${index}`,
    verify: () => 1,
    maxPromptLength: 3,
    maxCompletionLength: 2,
  });
  assertEquals(computed.problem("train", 3, 4).promptIds, tokenizer.encode("134"));
  assertEquals(computed.problem("eval", 3, 4).promptIds, tokenizer.encode("234"));
  assertThrows(() => computed.problem("eval", 30, 40), RangeError, "has 5 tokens, more than");
});

Deno.test("defineTask() adds several functions up by weight and reports each", async () => {
  const task = sums({
    verify: {
      correct: ({ completion, row }) => completion === row.answer,
      short: async ({ completionIds }) => {
        await Promise.resolve();
        return 1 / completionIds.length;
      },
      even: ({ row }) => Number(row.answer) % 2 === 0 ? 1 : null,
    },
    rewardWeights: { short: 0.5 },
  });
  const odd = SUMS[0]!;
  assertEquals(await task.verify(odd, ended("3")), {
    reward: 1.25,
    rewards: { correct: 1, short: 0.5, even: null },
  });
  assertEquals(await task.verify(odd, ended("12")), {
    reward: 0.5 / 3,
    rewards: { correct: 0, short: 1 / 3, even: null },
  });
});

Deno.test("defineTask(): what a verifier may not return is named with its function", async () => {
  const task = (verify: TaskDefinition<Sum>["verify"]) => sums({ verify });
  const cases: [verify: TaskDefinition<Sum>["verify"], message: string][] = [
    [() => NaN, "it returned NaN"],
    [() => "1" as unknown as number, 'it returned "1", a text: rewards are finite numbers'],
    [() => undefined as unknown as number, "it returned undefined"],
    [{ a: () => 1, b: () => Infinity }, "b: it returned Infinity"],
    [
      {
        a: () => {
          throw new Error("no cheese");
        },
      },
      "a: no cheese",
    ],
    [{ a: () => Promise.reject("plain") }, "a: plain"],
  ];
  for (const [verify, message] of cases) {
    const samples = [0, 1].map((i) => ({
      problem: { promptIds: [2], metadata: SUMS[i] },
      completionIds: [3, 1],
      where: `train problem ${i}`,
    }));
    await assertRejects(() => judge(task(verify), samples), Error, message);
    await assertRejects(
      () => judge(task(verify), samples),
      Error,
      'train problem 0 of task sums (prompt "0", completion "1<eos>")',
    );
    await assertRejects(() => judge(task(verify), samples), Error, "failed on 2 of 2 completions");
  }
});

Deno.test("a completion that no function judges has no reward", async () => {
  const sample = { problem: { promptIds: [2], metadata: SUMS[0] }, completionIds: [1], where: "x" };
  assertEquals(await judge(sums({ verify: () => null }), [sample]), [{
    reward: null,
    rewards: {},
  }]);
  assertEquals(await judge(sums({ verify: { a: () => null, b: () => null } }), [sample]), [{
    reward: null,
    rewards: { a: null, b: null },
  }]);
});

Deno.test("judge() waits for every verifier, and names the first that failed", async () => {
  const finished: number[] = [];
  const task = sums({
    verify: async ({ completionIds: [id] }) => {
      await new Promise((resolve) => setTimeout(resolve, 5 * (5 - id!)));
      finished.push(id!);
      if (id === 3) throw new Error("not three");
      return id!;
    },
  });
  const samples = [4, 3, 2].map((id) => ({
    problem: { promptIds: [2], metadata: SUMS[0] },
    completionIds: [id, 1],
    where: "x",
  }));
  await assertRejects(() => judge(task, samples), Error, "not three");
  assertEquals(finished, [4, 3, 2]);
  const rest = samples.filter(({ completionIds }) => completionIds[0] !== 3);
  assertEquals((await judge(task, rest)).map(({ reward }) => reward), [4, 2]);
});

Deno.test("judge() refuses a judgement whose part is no number", async () => {
  const task = { ...sums(), verify: () => ({ reward: 1, rewards: { style: NaN, ok: null } }) };
  const sample = {
    problem: { promptIds: [2], metadata: SUMS[0] },
    completionIds: [1],
    where: "eval problem 4",
  };
  await assertRejects(() => judge(task, [sample]), Error, "NaN for style on eval problem 4");
});

Deno.test("defineTask(): maxConcurrency bounds the verifiers at work", async () => {
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const task = sums({
    maxConcurrency: 3,
    verify: async ({ completionIds: [id] }) => {
      most = Math.max(most, ++running);
      order.push(id!);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      if (id === 5) throw new Error("five");
      return 1;
    },
  });
  const ids = [2, 3, 4, 5, 6, 7, 8, 9];
  const settled = await Promise.allSettled(ids.map((id) => task.verify(SUMS[0]!, [id])));
  assertEquals(settled.filter(({ status }) => status === "fulfilled").length, 7);
  assertEquals([most, running], [3, 0]);
  assertEquals(order, ids);
});

Deno.test("defineTask(): demonstrations follow the row and end", () => {
  const task = sums({
    demonstrate: ({ answer }, random) => random.uniform() < 0.5 ? answer : [3, 1],
  });
  const shown = Array.from({ length: 20 }, (_, i) => task.demonstration!(7, i));
  assertEquals(shown, Array.from({ length: 20 }, (_, i) => task.demonstration!(7, i)));
  assert(shown.every(({ completionIds }) => completionIds.at(-1) === 1));
  assert(new Set(shown.map(({ completionIds }) => completionIds.join())).size > 2);
  assertEquals(sums().demonstration, undefined);
  const long = sums({ demonstrate: () => "12345" });
  assertThrows(() => long.demonstration!(0, 0), RangeError, "maxCompletionLength is 4");
  const wild = sums({ demonstrate: () => [99] });
  assertThrows(() => wild.demonstration!(0, 0), RangeError, "A demonstration has the id 99");
});

Deno.test("defineTask(): conversations need a chat template", async () => {
  const prompt = [{ role: "user", content: "1+1=" }];
  const definition = {
    name: "chat",
    prompts: [{ prompt }],
    verify: () => 1,
    maxCompletionLength: 2,
  };
  assertThrows(
    () => defineTask({ ...definition, tokenizer }),
    RangeError,
    "prompts[0] cannot be encoded: the prompt is a conversation",
  );
  const task = defineTask({
    ...definition,
    tokenizer: {
      ...tokenizer,
      encodeChat: (messages) =>
        tokenizer.encode(messages.map(({ content }) => `0${content}0`).join("")),
    },
    verify: ({ prompt }) => prompt === "01+1=0",
  });
  const { promptIds, metadata } = task.problem("train", 0, 0);
  assertEquals(tokenizer.decode(promptIds), "01+1=0");
  assertEquals(await task.verify(metadata, [1]), 1);
});

Deno.test("defineTask() refuses definitions that cannot work", () => {
  const cases: [change: Partial<TaskDefinition<Sum>>, message: string][] = [
    [{ name: "" }, "name must be of letters"],
    [{ name: "a/b" }, "name must be of letters"],
    [{ maxCompletionLength: 0 }, "maxCompletionLength must be an integer >= 1"],
    [{ maxPromptLength: 1.5 }, "maxPromptLength must be an integer >= 1"],
    [{ prompts: [] }, "has no prompts"],
    [{ evalPrompts: [] }, "at least one in each split"],
    [{ maxPromptLength: 3 }, "prompts[0] has 4 tokens, more than maxPromptLength = 3"],
    [{ maxPromptLength: 3, filterOverlongPrompts: true }, "of at most maxPromptLength = 3"],
    [{ prompts: ["1", "a"] }, 'prompts[1] cannot be encoded: "a" begins with no symbol'],
    [{ prompts: [" "] }, "prompts[0] has no tokens"],
    [{ prompts: ["1", ""] }, "prompts[1] must have a prompt"],
    [{ prompts: [{ prompt: [3, 14] } as unknown as Sum] }, "prompts[0] has the id 14"],
    [{ prompts: [undefined as unknown as Sum] }, "prompts[0] must have a prompt"],
    [{ prompts: () => "1" }, "give maxPromptLength"],
    [{ eosTokenIds: [] }, "has no end of sequence"],
    [{ eosTokenIds: [14] }, "eosTokenIds has the id 14"],
    [{ verify: {} }, "at least one function"],
    [{ rewardWeights: { a: 1 } }, "rewardWeights needs several"],
    [{ verify: { a: () => 1 }, rewardWeights: { b: 1 } }, "rewardWeights.b must be"],
    [{ verify: { a: () => 1 }, rewardWeights: { a: NaN } }, "rewardWeights.a must be"],
    [{ maxConcurrency: 0 }, "maxConcurrency must be"],
    [
      { rewardWeight: { a: 1 } } as Partial<TaskDefinition<Sum>>,
      "defineTask has no option rewardWeight, did you mean rewardWeights?",
    ],
    [{ zzz: 1 } as Partial<TaskDefinition<Sum>>, "has no option zzz: there are name, tokenizer,"],
  ];
  for (const [change, message] of cases) {
    assertThrows(() => sums(change), Error, message);
  }
});

Deno.test("defineTask(): filterOverlongPrompts leaves long prompts out", () => {
  const task = sums({
    prompts: ["1", "12345", "2", "3"],
    maxPromptLength: 2,
    filterOverlongPrompts: true,
  });
  const prompts = new Set<string>();
  for (let i = 0; i < 8; i++) {
    for (const split of ["train", "eval"] as const) {
      prompts.add(task.problem(split, 0, i).metadata.prompt);
    }
  }
  assertEquals([...prompts].sort(), ["1", "2", "3"]);
});

Deno.test("defineTask() says what is missing, as from JavaScript", () => {
  const whole = {
    name: "x",
    tokenizer: symbolTokenizer("01"),
    prompts: ["0"],
    verify: () => 1,
    maxCompletionLength: 4,
  };
  const refused = (change: object, message: string) =>
    assertThrows(
      () => defineTask({ ...whole, ...change } as unknown as typeof whole),
      TypeError,
      message,
    );
  refused({ name: undefined }, "defineTask needs name, a text: got undefined");
  refused({ tokenizer: undefined }, "defineTask needs tokenizer, as symbolTokenizer() makes one");
  refused({ tokenizer: "01" }, "defineTask needs tokenizer");
  refused({ prompts: undefined }, "defineTask needs prompts, a list or a function: got undefined");
  refused({ prompts: "0" }, "defineTask needs prompts");
  refused({ verify: undefined }, "defineTask needs verify, a function or several by name");
  refused({ verify: 5 }, "defineTask needs verify");
  refused({ verify: { right: 5 } }, "defineTask needs verify.right, a function: got 5");
  assertThrows(
    () => symbolTokenizer(undefined as unknown as string),
    TypeError,
    "symbolTokenizer needs the characters of a text, or a list of symbols: got undefined",
  );
});
