/**
 * Runs the tests of kernels and of policies against PyTorch on other stacks than the installed one:
 *
 *     deno task test:swiftshader [files]   Deno's own WebGPU, on SwiftShader
 *     deno task test:mesa [files]          the same, on the llvmpipe of Debian 13 and of Debian's newest Mesa
 *     deno task test:dawn [files]          Dawn, on SwiftShader and on these
 *     deno task test:lanes [files]         the installed llvmpipe, with subgroups of 4 and of 16 lanes
 *
 * `deno task test:dawn swiftshader` is the first of Dawn's. Several files run in one process, so that kernels are compiled
 * once, and each in its own after a crash. The last lines sum up; the exit status is 1 if anything failed, and 3 if a
 * driver could not be fetched and nothing else failed.
 *
 * @module
 */

import { type Stack, STACKS } from "./stacks.ts";

/** Test files by default, as folders and files below tests/. */
const TESTS = [
  "gpu",
  "ops",
  "model/policy_test.ts",
  "model/hf_checkpoint_test.ts",
  "model/family_oracle_test.ts",
  "rl/policy_gradient_test.ts",
];

const ROOT = new URL("../", import.meta.url).pathname;

/** Files that run in one process: drivers do not bear all kernels there are (Mesa 26.2.6 ended after some hundred). */
const TOGETHER = 8;

function testsBelow(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  return [...Deno.readDirSync(path)]
    .flatMap(({ name, isDirectory }) =>
      isDirectory
        ? testsBelow(`${path}/${name}`)
        : name.endsWith("_test.ts")
        ? [`${path}/${name}`]
        : []
    ).sort();
}

interface Counts {
  passed: number;
  failed: number;
}

/** Runs tests in one process and says what became of them; `undefined` if it died. */
async function runTests(stack: Stack, args: readonly string[]): Promise<Counts | undefined> {
  const { stdout } = new Deno.Command(stack.deno, {
    args: [
      "test",
      "--allow-all",
      "--no-check",
      "--no-lock",
      "--quiet",
      "--reporter=dot",
      ...stack.args,
      ...args,
    ],
    env: { ...stack.env, NO_COLOR: "1" },
    stdout: "piped",
  }).spawn();
  let text = "";
  for await (const part of stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(part));
    text += part;
  }
  const [, passed, failed] = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/m.exec(text) ?? [];
  return passed === undefined ? undefined : { passed: Number(passed), failed: Number(failed) };
}

/** Runs the files on a stack: those about devices with devices of their own, the others on one. */
async function runStack(stack: Stack, files: readonly string[]): Promise<Counts> {
  const total = { passed: 0, failed: 0 };
  const count = (what: string, counts: Counts = { passed: 0, failed: 1 }) => {
    console.log(`${what.replace(ROOT, "")}: ${counts.passed} passed, ${counts.failed} failed`);
    total.passed += counts.passed;
    total.failed += counts.failed;
  };
  const own = files.filter((path) => path.startsWith(`${ROOT}gpu`));
  const together = files.filter((path) => !own.includes(path));
  for (let i = 0; i < together.length; i += TOGETHER) {
    const group = together.slice(i, i + TOGETHER);
    const counts = group.length > 1
      ? await runTests(stack, [`${ROOT}together.ts`, "--", ...group])
      : undefined;
    if (counts) count(group.map((path) => path.replace(ROOT, "")).join(" "), counts);
    else own.push(...group);
  }
  for (const path of own) count(path, await runTests(stack, [path]));
  console.log(`${stack.name}: ${total.passed} passed, ${total.failed} failed`);
  return total;
}

const [group = "", ...given] = Deno.args;
const stacks = STACKS[group];
if (!stacks) {
  console.error(`Give a stack (${Object.keys(STACKS).join(", ")}): got "${group}"`);
  Deno.exit(2);
}
const chosen = given.filter((arg) => Object.hasOwn(stacks, arg));
const paths = given.filter((arg) => !chosen.includes(arg)).map((path) => Deno.realPathSync(path));
const files = (paths.length > 0 ? paths : TESTS.map((name) => ROOT + name)).flatMap(testsBelow);
const summary: string[] = [];
for (const name of chosen.length > 0 ? chosen : Object.keys(stacks)) {
  const stack = await stacks[name]!().catch((error: Error) => {
    summary.push(`${name}: not run. ${error.message}`);
  });
  if (!stack) {
    Deno.exitCode ||= 3;
    continue;
  }
  const { passed, failed } = await runStack(stack, files);
  summary.push(`${stack.name}: ${passed} passed, ${failed} failed`);
  if (failed > 0 || passed === 0) Deno.exitCode = 1;
}
if (summary.length > 1 || Deno.exitCode === 3) console.log(summary.join("\n"));
