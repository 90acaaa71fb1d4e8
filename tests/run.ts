/**
 * Runs the tests, all of them or those of some folders and files:
 *
 *     deno task test
 *     deno task test tests/ops tests/model/policy_test.ts
 *
 * Most of what tests cost is compiling kernels, so all files but those about devices run in one process, on one device:
 * each kernel is compiled once. Types are checked by `deno task check`.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { resolve } from "node:path";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** What is about devices themselves, each of which has to be its own. */
const OWN_DEVICES = resolve(ROOT, "tests", "gpu");

const PERMISSIONS = [
  "--allow-read",
  "--allow-write",
  "--allow-net=127.0.0.1",
  "--allow-run=deno,sh",
];

function testsBelow(path: string): string[] {
  if (Deno.statSync(path).isFile) return [path];
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? testsBelow(resolve(path, name))
      : name.endsWith("_test.ts")
      ? [resolve(path, name)]
      : []
  ).sort();
}

/** Runs `deno test` and says whether all tests passed. */
async function test(...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command("deno", {
    args: ["test", "--no-check", ...PERMISSIONS, ...args],
    cwd: ROOT,
    stdin: "null",
  }).spawn().status;
  return success;
}

const given = Deno.args.filter((arg) => !arg.startsWith("--"));
const flags = Deno.args.filter((arg) => arg.startsWith("--"));
const files = (given.length > 0 ? given : [resolve(ROOT, "tests")])
  .flatMap((path) => testsBelow(resolve(path)));
const own = files.filter((path) => path.startsWith(OWN_DEVICES));
const together = files.filter((path) => !path.startsWith(OWN_DEVICES));

const passed = [
  own.length === 0 || await test(...flags, ...own),
  together.length === 0 || await test(...flags, "tests/together.ts", "--", ...together),
];
if (passed.includes(false)) {
  console.error("Not everything passed: see above");
  Deno.exitCode = 1;
}
