import { assertEquals, assertNotEquals } from "@std/assert";
import { computeFingerprint, taskFingerprint } from "../../src/run/fingerprint.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { judge } from "../../src/task/judge.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";

interface Row {
  readonly prompt: string;
  readonly nums: number[];
}

const ROWS: Row[] = Array.from({ length: 200 }, (_, i) => ({ prompt: `${i}`, nums: [i, 3, 1] }));

const task = (prompts: Row[]) =>
  defineTask<Row>({
    name: "labels",
    tokenizer: symbolTokenizer("0123456789"),
    prompts,
    verify: ({ row, completion }) => row.nums.sort()[0] === Number(completion),
    maxCompletionLength: 4,
  });

Deno.test("the fingerprint of a list covers every row of both splits", () => {
  const whole = taskFingerprint(task(ROWS));
  assertEquals(taskFingerprint(task(ROWS)), whole);
  for (let changed = 0; changed < ROWS.length; changed++) {
    const rows = ROWS.map((row, i) => i === changed ? { ...row, nums: [0] } : row);
    assertNotEquals(taskFingerprint(task(rows)), whole, `row ${changed}`);
  }
});

Deno.test("a verifier that changes its row changes a copy", async () => {
  const own = task(ROWS.map((row) => ({ ...row, nums: [...row.nums] })));
  const before = computeFingerprint(own);
  const samples = Array.from({ length: 50 }, (_, i) => ({
    problem: own.problem("train", 0, i),
    completionIds: [3, 1],
    where: `train problem ${i}`,
  }));
  await judge(own, samples);
  assertEquals(computeFingerprint(own), before);
  assertEquals(samples[0]!.problem, own.problem("train", 0, 0));
});
