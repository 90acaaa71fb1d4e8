import { assertEquals, assertRejects } from "@std/assert";
import { defineTask } from "../../src/task/define_task.ts";
import { judge } from "../../src/task/judge.ts";
import type { Task } from "../../src/task/task.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import { tinyTask } from "../helpers/tiny_task.ts";

const sample = (id: number) => ({
  problem: { promptIds: [2], metadata: { capital: 5 } },
  completionIds: [id, 1],
  where: `problem ${id}`,
});

/** A verifier that answers after so many milliseconds as the id says, and never to 7. */
const slow = tinyTask({
  verify: (_, [id = 7]) =>
    new Promise((resolve) => id === 7 ? undefined : setTimeout(resolve, 10 * id, id)),
});

Deno.test("judge() waits as long as answers keep coming", async () => {
  const judged = await judge(slow, [2, 6, 3, 4, 5].map(sample), { patience: 0.05 });
  assertEquals(judged.map(({ reward }) => reward), [2, 6, 3, 4, 5]);
});

Deno.test("judge() gives a verifier up that does not answer, naming the sample", async () => {
  const error = await assertRejects(
    () => judge(slow, [2, 7, 3].map(sample), { patience: 0.1 }),
    Error,
  );
  assertEquals(
    error.message,
    'The verifier threw on problem 7 of task capitals (prompt "a", completion "C<eos>"): ' +
      "no answer for 0.1 s; give what the verifier waits for a time limit of its own",
  );
});

Deno.test("judge() stops waiting with whoever asked", async () => {
  const abort = new AbortController();
  const judged = judge(slow, [sample(7)], { patience: 0.02, signal: abort.signal });
  abort.abort();
  const late = new Promise((resolve) => setTimeout(resolve, 60, "nothing"));
  assertEquals(await Promise.race([judged, late]), "nothing");
});

Deno.test("what a verifier does to its arguments stays with it", async () => {
  const destroy = (list: readonly unknown[]) => (list as unknown[]).splice(0);
  const asked = (task: Task) => ({
    problem: task.problem("train", 0, 0),
    completionIds: [2, 3, 1],
    where: "it",
  });
  const own = tinyTask({
    verify: (_, ids) => {
      destroy(ids);
      return 1;
    },
  });
  const samples = [asked(own), asked(own)];
  await judge(own, samples);
  assertEquals(samples.map(({ completionIds }) => completionIds), [[2, 3, 1], [2, 3, 1]]);

  // Of several functions, each has its own.
  const seen: unknown[] = [];
  const look = (
    { row, completionIds }: { row: { list: number[] }; completionIds: readonly number[] },
  ) => {
    seen.push([...row.list, ...completionIds]);
    destroy(row.list);
    destroy(completionIds);
    return 1;
  };
  const several = defineTask({
    name: "several",
    tokenizer: symbolTokenizer("01"),
    prompts: [{ prompt: "0", list: [7] }],
    verify: { first: look, second: look },
    maxCompletionLength: 4,
  });
  await judge(several, [asked(several as Task)]);
  assertEquals(seen, [[7, 2, 3, 1], [7, 2, 3, 1]]);
});
