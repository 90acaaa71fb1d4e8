import { assertEquals, assertRejects } from "@std/assert";
import { judge } from "../../src/task/judge.ts";
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
