import { assertEquals, assertThrows } from "@std/assert";
import { judge } from "../../src/task/judge.ts";
import { ANSWER_REWARDS, type AnswerRewardName } from "../../src/tasks/answer_rewards.ts";
import { answerTask, type AnswerTaskOptions } from "../../src/tasks/answer_task.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";

Deno.test("rewards by name", () => {
  const cases: [AnswerRewardName, completion: string, answer: string, reward: number][] = [
    ["exactMatch", " 42\n", "42", 1],
    ["exactMatch", "42.", "42", 0],
    ["contains", "it is 42.", "42", 1],
    ["contains", "it is 4 2", "42", 0],
    ["numericMatch", "so 3 + 4 = 1,007", "1007", 1],
    ["numericMatch", "so 7 or 8", "7", 0],
    ["numericMatch", "so -0.5", "-.5", 1],
    ["numericMatch", "nothing", "7", 0],
    ["numericMatch", "#### 18", "She has 3 * 6 = 18 of 20.\n#### 18", 1],
    ["numericMatch", "2.5e3 dollars", "2500", 1],
    ["numericMatch", "3.1415927", "3.14159265", 1],
    ["numericMatch", "3.14160", "3.14159265", 0],
    ["numericMatch", "1000001", "1,000,000", 0],
    ["numericMatch", "1000000.0", "1,000,000", 1],
    ["numericMatch", "123456789012345678901", "123456789012345678900", 0],
    ["numericMatch", "0", "6.6e-34", 0],
    ["numericMatch", "6.6e-34", "6.6e-34", 1],
    ["numericMatch", "0.0", "0", 1],
    ["boxed", "thus \\boxed{\\frac{1}{2}}.", "0.5", 1],
    ["boxed", "\\boxed{1} no, \\boxed{2}", "1", 0],
    ["boxed", "0.5", "0.5", 0],
    ["answerTag", "<answer>7</answer> hm <answer> 8 </answer>", "8", 1],
    ["answerTag", "<answer>8", "8", 0],
    ["answerTag", "<answer>Paris</answer>", "paris", 0],
    ["regex", "a1b22", "\\d{2}$", 1],
    ["regex", "a1b2", "\\d{2}$", 0],
  ];
  for (const [name, completion, answer, reward] of cases) {
    assertEquals(ANSWER_REWARDS[name].judge(completion, answer), reward, `${name}: ${completion}`);
  }
});

const make = (rows: Record<string, unknown>[], options: Partial<AnswerTaskOptions> = {}) =>
  answerTask(rows, {
    where: (i) => `file:${i + 1}`,
    name: "file",
    rewards: { exactMatch: 1 },
    ...options,
  });

Deno.test("answerTask() makes a task of a file's rows", async () => {
  const rows = Array.from({ length: 16 }, (_, i) => ({ q: `${i}+1=`, a: i + 1 }));
  const task = make(rows, { promptColumn: "q", answerColumn: "a", maxCompletionLength: 4 });
  // Without a tokenizer the characters of the file are the symbols.
  assertEquals(task.vocabulary.slice(2).join(""), "+0123456789=");
  assertEquals([task.heldOut, task.promptCounts], [true, { train: 14, eval: 2 }]);
  const problem = task.problem("train", 0, 3);
  const judged = async (text: string) =>
    (await judge(task, [{
      problem,
      completionIds: [...task.tokenizer.encode(text), 1],
      where: "it",
    }]))[0]!.reward;
  assertEquals(await judged(problem.metadata.answer), 1);
  assertEquals(await judged(problem.metadata.answer + "0"), 0);
  assertEquals(task.demonstration, undefined);
});

Deno.test("answerTask(): several rewards, demonstrations, conversations and a limit of length", async () => {
  const rows = ["1", "2", "33", "4"].map((prompt) => ({
    prompt,
    answer: prompt,
    demonstration: `${prompt}${prompt}`,
  }));
  const plain = symbolTokenizer("0123456789");
  const tokenizer = {
    ...plain,
    encodeChat: (messages: readonly { content: string }[]) =>
      plain.encode(messages.map(({ content }) => `0${content}0`).join("")),
  };
  const task = make(rows, {
    tokenizer,
    rewards: { exactMatch: 1, contains: 0.5 },
    chatTemplate: true,
    maxPromptLength: 3,
  });
  assertEquals(task.overlongPrompts, 1);
  const { promptIds, metadata } = task.problem("train", 0, 0);
  assertEquals(plain.decode(promptIds), `0${metadata.answer}0`);
  const shown = task.demonstration!(0, 0);
  assertEquals(plain.decode(shown.completionIds), metadata.answer.repeat(2));
  assertEquals(await task.verify(metadata, shown.completionIds), {
    reward: 0.5,
    rewards: { exactMatch: 0, contains: 1 },
  });
});

Deno.test("answerTask() names the row that cannot be used", () => {
  const good = { prompt: "1", answer: "1" };
  const cases: [rows: Record<string, unknown>[], options: Partial<AnswerTaskOptions>, string][] = [
    [[good, { question: "1" }], {}, "file:2: prompt must be a text"],
    [[good, { question: "1" }], {}, "its columns are question"],
    [[good, { prompt: "1" }], {}, "file:2: answer must be a text or a number: got undefined"],
    [
      [{ prompt: "1", answer: "one" }],
      { rewards: { numericMatch: 1 } },
      'answer "one" has no number',
    ],
    [[{ prompt: "1", answer: "(" }], { rewards: { regex: 1 } }, "is no regular expression"],
    [[{ prompt: "1", answer: "" }], { rewards: { contains: 1 } }, "every completion contains"],
    [[good, { ...good, demonstration: 1 }], {}, "demonstration must be a text: got 1"],
    [[good, { ...good, demonstration: "1" }], {}, "1 of 2 rows have a demonstration"],
    [[good], { rewards: {} }, "give a reward: one of exactMatch, contains"],
  ];
  for (const [rows, options, message] of cases) {
    assertThrows(() => make(rows, options), Error, message);
  }
});

Deno.test("answerTask() refuses answers that judge nothing, or are not what the file says", () => {
  const refused = (answer: unknown, reward: AnswerRewardName, message: string) =>
    assertThrows(
      () => make([{ prompt: "1", answer }], { rewards: { [reward]: 1 } }),
      RangeError,
      message,
    );
  refused("", "regex", "is empty, which matches every completion");
  refused("", "contains", "is empty, which every completion contains");
  // Every number is within a millionth of infinity.
  refused("1e999", "numericMatch", "is beyond what a number can be");
  refused("no", "numericMatch", "has no number");
  // What JSON makes of them is another number than the one that was written.
  refused(JSON.parse("12345678901234567890"), "exactMatch", "write it as a text");
  refused(JSON.parse("-9007199254740993"), "numericMatch", "write it as a text");
  refused(JSON.parse("1e999"), "exactMatch", "write it as a text");
  make([{ prompt: "1", answer: Number.MAX_SAFE_INTEGER }]);
  make([{ prompt: "1", answer: 1e-7 }]);
  assertEquals(ANSWER_REWARDS.numericMatch.judge("about 7", "1e999"), 0);
});
