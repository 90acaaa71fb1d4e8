/** `train --objective`: rules of one's own from a module, named in the run, found again when it goes on. */

import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { TINY, tinyWith } from "../helpers/bad_input.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";

const RULES = `
export const weights = ({ lengths, miniBatch: { start, end } }) =>
  lengths.slice(start, end).map((length) => 1 / Math.sqrt(Math.max(1, length)) / (end - start));
`;

test.inDir("rules of a module train, are recorded by name and SHA-256, and found again by --resume", async (dir) => {
  await Deno.writeTextFile(join(dir, "root_rule.ts"), RULES);
  const train = async (...args: string[]) =>
    await runInProcess(dir, "train", ...args, "--no-report");
  const objective = "--objective=./root_rule.ts";
  // Weighs whatever the rewards are.
  const bonus = "--entropy-coef=0.1";
  const bytes = async (run: string) =>
    await Deno.readFile(join(dir, "runs", run, "checkpoint", "model.safetensors"));

  const whole = await train(
    ...TINY.filter((flag) => flag !== "--quiet"),
    objective,
    bonus,
    "--out=runs/whole",
  );
  assertEquals(whole.code, 0);
  assertMatch(whole.stderr, /^compiling kernels\n(train +\d\/2 .+\n)+$/);
  assertStringIncludes(whole.stdout.replaceAll("\n", " "), "x = weights of root_rule");
  const config = JSON.parse(await Deno.readTextFile(join(dir, "runs", "whole", "config.json")));
  assertEquals(config.options.objective.name, "root_rule");
  assertMatch(config.options.objective.source.sha256, /^[0-9a-f]{64}$/);

  assertEquals(
    (await train(...tinyWith("--max-steps=1"), objective, bonus, "--out=runs/half")).code,
    0,
  );
  assertEquals((await train("--resume=runs/half", "--max-steps=2", "--quiet")).code, 0);
  assertEquals(await bytes("half"), await bytes("whole"));
  // They do not weigh as the built-in rule does.
  assertEquals((await train(...TINY, bonus, "--out=runs/plain")).code, 0);
  assertNotEquals(await bytes("plain"), await bytes("whole"));

  await Deno.writeTextFile(join(dir, "root_rule.ts"), `${RULES}// changed`);
  const changed = await train("--resume=runs/half", "--max-steps=3", "--quiet");
  assertStringIncludes(changed.stderr, "root_rule.ts is not as it was when runs/half was begun");
  await Deno.writeTextFile(join(dir, "empty.ts"), "export const x = 1;");
  const cases = [
    [["--objective=none.ts"], "none.ts does not exist"],
    [
      ["--objective=./empty.ts"],
      "it must export a function advantages, a function weights, or a surrogate",
    ],
    [[objective, "--loss-alpha=1"], "--loss-alpha has no effect with objective root_rule"],
  ] as const;
  for (const [flags, message] of cases) {
    const { code, stderr } = await train(...TINY, ...flags, "--out=runs/bad");
    assertEquals(code === 0, false);
    assertStringIncludes(stderr, message);
  }
});
