import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import { evaluateArithmetic } from "../../src/text/arithmetic.ts";
import {
  countdownAnswer,
  countdownPrompt,
  countdownReward,
  textCountdown,
} from "../../src/text/countdown.ts";

const VECTORS = JSON.parse(
  Deno.readTextFileSync(new URL("../fixtures/paper_vectors.json", import.meta.url)),
);

/** Every printable character is a token. */
const characters = symbolTokenizer(
  ["\n", ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))],
);

Deno.test("countdownReward() and countdownAnswer() are the published code on its 24 executed cases", () => {
  const { cases } = VECTORS.countdown_reward;
  assertEquals(cases.length, 24);
  for (const [text, target, nums, extracted, score] of cases) {
    assertEquals(countdownAnswer(text) ?? null, extracted, text);
    assertEquals(countdownReward(text, { nums, target }), score, text);
  }
});

Deno.test("countdownAnswer() follows the published extraction at its edges", () => {
  // What the published function returns, executed under Python 3.11.
  const cases: [text: string, answer: string | undefined][] = [
    ["Assistant: <answer>1</answer>", "1"],
    ["<answer>0</answer> Assistant: none", undefined],
    ["<|im_start|>assistant\n<answer>2</answer>", "2"],
    ["<answer>0</answer><|im_start|>assistant x", undefined],
    ["<|im_start|>assistant <answer>1</answer> Assistant: <answer>2</answer>", "2"],
    ["<answer>a</answer> Assistant: <answer>b</answer> Assistant: <answer>c</answer>", "c"],
    ["<answer>1</answer>\u3000\x1f\x85\n", "1"],
    ["<answer>1</answer>\ufeff", "1"],
    ["\n\n<answer> \x1c 1 </answer>  \n \n", "1"],
    ["<answer>1<answer>2</answer>", "1<answer>2"],
    ["<answer>1</answer>2</answer>", "1"],
    ["<answer>1</answer><answer>2", "1"],
    ["<answer>1\r2</answer>", "1\r2"],
    ["<answer>1\u20282</answer>", "1\u20282"],
    ["<answer>1", undefined],
    ["1</answer>", undefined],
    ["<Answer>1</Answer>", undefined],
    ["", undefined],
    ["Assistant:", undefined],
  ];
  for (const [text, answer] of cases) assertEquals(countdownAnswer(text), answer, text);
});

Deno.test("countdownReward() departs from eval where it says so", () => {
  const reward = (answer: string, target: number, nums: number[]) =>
    countdownReward(`<answer>${answer}</answer>`, { nums, target });
  // Python needs 44**19**35 for ever.
  assertEquals(reward("44**19**35", 60, [44, 19, 35]), 0);
  // Python's value is a complex number that happens to be 16.
  assertEquals(reward("((-4)**(1/2))**4", 16, [4, 1, 2, 4]), 0);
  // Equal in fractions, and within 1e-5 in doubles as well.
  assertEquals(reward("7/3+2/3+1/3", 10 / 3, [7, 3, 2, 3, 1, 3]), 1);
  assertEquals(reward("1/3", 0.33333, [1, 3]), 1);
  assertEquals(reward("1/3", 0.3333, [1, 3]), 0);
  // The same numbers in another form, or others.
  assertEquals(reward("00+12", 12, [0, 12]), 1);
  assertEquals(reward("1+2", 3, [12]), 0);
  assertEquals(reward("1 2", 12, [1, 2]), 0);
  assertEquals(reward("2+2", 4, [2]), 0);
});

Deno.test("countdownReward() is quick on long completions", () => {
  const start = performance.now();
  for (
    const text of [
      " ".repeat(200_000) + "x" + " ".repeat(200_000) + "y",
      "<answer>".repeat(50_000),
      "<answer></answer>".repeat(20_000),
      `<answer>${"(".repeat(100_000)}1</answer>`,
    ]
  ) assertEquals(countdownReward(text, { nums: [1], target: 2 }), 0);
  assert(performance.now() - start < 1000, `${performance.now() - start} ms`);
});

Deno.test("countdownPrompt() is the published template", () => {
  assertEquals(
    countdownPrompt([44, 19, 35], 60),
    `A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first thinks about the reasoning process in the mind and then provides the user with the answer.
User: Using the numbers [44, 19, 35], create an equation that equals 60. You can use basic arithmetic operations (+, -, *, /) and each number can only be used once. Show your work in <think> </think> tags. And return the final answer in <answer> </answer> tags, for example <answer> (1 + 2) / 3 </answer>.
Assistant: Let me solve this step by step.
<think>`,
  );
});

Deno.test("textCountdown() draws solvable problems whose splits share none", () => {
  const task = textCountdown({ tokenizer: characters, maxPromptLength: 1000 });
  const keys = { train: new Set<string>(), eval: new Set<string>() };
  for (const split of ["train", "eval"] as const) {
    for (let i = 0; i < 150; i++) {
      const { metadata, promptIds } = task.problem(split, 1, i);
      const { nums, target, prompt } = metadata;
      assertEquals(prompt, countdownPrompt(nums, target));
      assertEquals(characters.decode(promptIds), prompt);
      assertEquals(task.problem(split, 1, i), { metadata, promptIds });
      assert(nums.length === 3 || nums.length === 4);
      assert(nums.every((n) => Number.isInteger(n) && n >= 1 && n <= 99));
      assert(Number.isInteger(target) && target >= 10 && target <= 100);
      keys[split].add([...nums.toSorted((a, b) => a - b), target].join());
    }
  }
  assert(keys.train.size > 140 && keys.eval.size > 140);
  assertEquals([...keys.eval].filter((key) => keys.train.has(key)), []);
});

Deno.test("textCountdown(): every drawn problem of three numbers has a solution", () => {
  const task = textCountdown({ tokenizer: characters, maxPromptLength: 1000 });
  let checked = 0;
  for (let i = 0; checked < 25; i++) {
    const { nums, target } = task.problem("train", 2, i).metadata;
    if (nums.length !== 3) continue;
    checked++;
    const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    const solved = orders.some((order) => {
      const [a, b, c] = order.map((at) => nums[at]!);
      return [..."+-*/"].some((p) =>
        [..."+-*/"].some((q) =>
          [`(${a}${p}${b})${q}${c}`, `${c}${q}(${a}${p}${b})`].some((text) =>
            evaluateArithmetic(text) === target
          )
        )
      );
    });
    assert(solved, `${nums} to ${target}`);
  }
});

Deno.test("textCountdown() demonstrates solutions, the prompt's way", () => {
  const task = textCountdown({ tokenizer: characters, maxPromptLength: 1000 });
  for (let i = 0; i < 40; i++) {
    const { promptIds, completionIds } = task.demonstration!(3, i);
    assertEquals(promptIds, task.problem("train", 3, i).promptIds);
    const shown = characters.decode(completionIds.slice(0, -1));
    const { metadata } = task.problem("train", 3, i);
    assertEquals(countdownReward(shown, metadata), 1, shown);
    assertMatch(
      shown,
      /^( -?\d+ [-+*/] -?\d+ = -?\d+,?){2,3}\. <\/think>\n<answer> .* <\/answer>$/,
    );
    assertEquals(task.demonstration!(3, i).completionIds, completionIds);
  }
  // No way there: an answer of the right form.
  const [row] = [{ nums: [1, 1, 1, 1, 1, 1, 1], target: 99 }];
  const none = textCountdown({ tokenizer: characters, maxPromptLength: 1000, problems: [row!] });
  assertMatch(
    characters.decode(none.demonstration!(0, 0).completionIds),
    /<answer> \(+1 \+ 1\) .* <\/answer>/,
  );
});

Deno.test("textCountdown() draws again what is too long, and gives up where everything is", () => {
  const length = countdownPrompt([9, 9, 9], 99).length;
  const short = textCountdown({ tokenizer: characters, maxPromptLength: length + 2 });
  for (let i = 0; i < 20; i++) {
    assert(short.problem("train", 1, i).promptIds.length <= length + 2);
  }
  const impossible = textCountdown({ tokenizer: characters, maxPromptLength: 100 });
  assertThrows(() => impossible.problem("train", 1, 0), RangeError, "raise maxPromptLength");
});

Deno.test("textCountdown() takes problems of a data set and judges completions as text", async () => {
  const task = textCountdown({
    tokenizer: characters,
    maxPromptLength: 1000,
    problems: [{ nums: [44, 19, 35], target: 60 }, { nums: [3, 4, 5], target: 12 }],
  });
  const row = { nums: [44, 19, 35], target: 60, prompt: "" };
  const ids = (text: string) => characters.encode(text);
  assertEquals(await task.verify(row, [...ids("hm\n<answer>44-19+35</answer>"), 1]), 1);
  // As in the published code, a right answer that was cut off before the end counts.
  assertEquals(await task.verify(row, ids("<answer>44-19+35</answer>")), 1);
  assertEquals(await task.verify(row, ids("<answer>44-19+35</ans")), 0);
  const shown = [0, 1].map((i) => task.problem("train", 0, i).metadata.target);
  assertEquals(new Set([...shown, task.problem("eval", 0, 0).metadata.target]).size, 2);
  for (const bad of [{ nums: [], target: 1 }, { nums: [1.5], target: 1 }, { nums: [1] }, null]) {
    const problems = [bad as { nums: number[]; target: number }];
    assertThrows(
      () => textCountdown({ tokenizer: characters, problems }),
      TypeError,
      "problems[0] must have nums",
    );
  }
});
