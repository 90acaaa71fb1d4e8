/**
 * Runs the tests of kernels and of policies against PyTorch on another stack than the installed one:
 *
 *     deno task test:dawn [files]          Dawn, on SwiftShader
 *     deno task test:swiftshader [files]   Deno's own WebGPU, on SwiftShader
 *
 * Each file runs in a process of its own, so that a crash costs one file. The last line sums up; the exit status is 1 if
 * anything failed.
 *
 * @module
 */

import { swiftshader } from "./swiftshader.ts";

/** Test files by default, as folders and files below tests/. */
const TESTS = ["gpu", "ops", "model/policy_test.ts", "model/hf_checkpoint_test.ts"];

/** Where the preload is. */
const DAWN = new URL("dawn.ts", import.meta.url).pathname;
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

const [stack, ...files] = Deno.args;
if (stack !== "dawn" && stack !== "swiftshader") {
  console.error(`Give the stack, "dawn" or "swiftshader", and files if not all: got ${stack}`);
  Deno.exit(2);
}
const folder = await Deno.makeTempDir();
const total = { passed: 0, failed: 0 };
try {
  const env = await swiftshader(folder);
  const args = stack === "dawn" ? [`--preload=${DAWN}`] : [];
  for (const path of files.length > 0 ? files : TESTS.flatMap((name) => testsBelow(ROOT + name))) {
    const { passed, failed } = await runFile(path, args, env);
    console.log(`${path.replace(ROOT, "")}: ${passed} passed, ${failed} failed`);
    total.passed += passed;
    total.failed += failed;
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(`${stack}: ${total.passed} passed, ${total.failed} failed`);
if (total.failed > 0) Deno.exitCode = 1;
