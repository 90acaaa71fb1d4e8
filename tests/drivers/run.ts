/**
 * Runs the tests of kernels and of policies against PyTorch on another stack than the installed one:
 *
 *     deno task test:dawn [files]          Dawn, on SwiftShader
 *     deno task test:swiftshader [files]   Deno's own WebGPU, on SwiftShader
 *     deno task test:lanes [files]         the installed llvmpipe, with subgroups of 4 and of 16 lanes
 *     deno task test:tint                  no test: every kernel is handed to Chrome's compiler
 *
 * Each file runs in a process of its own, so that a crash costs one file. The last line sums up; the exit status is 1 if
 * anything failed.
 *
 * @module
 */

import { swiftshader } from "./swiftshader.ts";

/** Test files by default, as folders and files below tests/. */
const TESTS = ["gpu", "ops", "model/policy_test.ts", "model/hf_checkpoint_test.ts"];

const DAWN = new URL("dawn.ts", import.meta.url).pathname;
const TINT = new URL("tint.ts", import.meta.url).pathname;
const ROOT = new URL("../", import.meta.url).pathname;

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

/** Runs one file and says what became of its tests; a process that dies counts as one failure. */
async function runFile(path: string, args: string[], env: Record<string, string>): Promise<Counts> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", "--no-check", "--quiet", ...args, path],
    env: { ...env, NO_COLOR: "1" },
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  const [, passed, failed] = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/m.exec(text) ?? [];
  const counts = { passed: Number(passed ?? 0), failed: Number(failed ?? 1) };
  if (!success && counts.failed === 0) counts.failed = 1;
  if (counts.failed > 0) console.log(text);
  return counts;
}

/** How a stack is put together: arguments of `deno test` and what is set in the environment. */
interface Stack {
  readonly name: string;
  readonly args: string[];
  readonly env: Record<string, string>;
}

/** Subgroups of llvmpipe are as wide as its vectors: 128 bits are four lanes. */
function lanes(count: number): Stack {
  return { name: `${count} lanes`, args: [], env: { LP_NATIVE_VECTOR_WIDTH: `${32 * count}` } };
}

const STACKS: Readonly<Record<string, (folder: string) => Promise<Stack[]>>> = {
  dawn: async (folder) => [{
    name: "Dawn on SwiftShader",
    args: [`--preload=${DAWN}`],
    env: await swiftshader(folder),
  }],
  swiftshader: async (
    folder,
  ) => [{ name: "SwiftShader", args: [], env: await swiftshader(folder) }],
  lanes: () => Promise.resolve([lanes(4), lanes(16)]),
};

/** Runs the files on a stack and returns how many tests failed. */
async function runStack({ name, args, env }: Stack, files: readonly string[]): Promise<number> {
  const total = { passed: 0, failed: 0 };
  for (const path of files) {
    const { passed, failed } = await runFile(path, args, env);
    console.log(`${path.replace(ROOT, "")}: ${passed} passed, ${failed} failed`);
    total.passed += passed;
    total.failed += failed;
  }
  console.log(`${name}: ${total.passed} passed, ${total.failed} failed`);
  return total.failed;
}

/** Hands every kernel to Tint, which needs Dawn and any driver. */
async function runTint(folder: string): Promise<number> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", TINT],
    env: await swiftshader(folder),
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  return success ? 0 : 1;
}

const [stack = "", ...given] = Deno.args;
if (stack !== "tint" && !Object.hasOwn(STACKS, stack)) {
  console.error(`Give a stack (${[...Object.keys(STACKS), "tint"].join(", ")}): got "${stack}"`);
  Deno.exit(2);
}
const files = given.length > 0 ? given : TESTS.flatMap((name) => testsBelow(ROOT + name));
const folder = await Deno.makeTempDir();
let failed = 0;
try {
  if (stack === "tint") failed = await runTint(folder);
  else for (const each of await STACKS[stack]!(folder)) failed += await runStack(each, files);
} finally {
  await Deno.remove(folder, { recursive: true });
}
if (failed > 0) Deno.exitCode = 1;
