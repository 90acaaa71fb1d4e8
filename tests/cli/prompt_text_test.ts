import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/args.ts";
import { encodePrompt } from "../../src/cli/prompt_text.ts";
import { taskByName, taskNames } from "../../src/tasks/mod.ts";

Deno.test("what a task writes is read back as the same ids", () => {
  for (const name of taskNames) {
    const task = taskByName(name);
    for (let index = 0; index < 8; index++) {
      const { promptIds } = task.problem("eval", 1, index);
      assertEquals(encodePrompt(task, task.describe(promptIds)), promptIds, name);
    }
  }
});

Deno.test("white space does not matter between symbols that cannot be confused", () => {
  const parity = taskByName("parity");
  assertEquals(encodePrompt(parity, " 0 11_: "), encodePrompt(parity, "011_:"));
  const countdown = taskByName("countdown");
  assertEquals(countdown.describe(encodePrompt(countdown, "2 5 6 16:")), "2 5 6 16 :");
  assertEquals(encodePrompt(countdown, "16").length, 1);
  assertEquals(encodePrompt(countdown, "1 6").length, 2);
});

Deno.test("what is no symbol is refused with the symbols there are", () => {
  const error = assertThrows(() => encodePrompt(taskByName("parity"), "01 2:"), UsageError);
  assertEquals(
    error.message,
    '"2:" begins with no symbol of parity: they are <pad> <eos> 0 1 _ : >',
  );
});
