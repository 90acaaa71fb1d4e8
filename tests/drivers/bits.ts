/**
 * Compares a policy's numbers between stacks: `deno task test:bits [stacks]`, for example `mesa dawn`.
 *
 * The installed driver is what the others are held against: each is within {@linkcode TOLERANCE} of it, and two
 * implementations of WebGPU on one driver have the same bits.
 *
 * @module
 */

import { run } from "./debian.ts";
import { type Stack, STACKS } from "./stacks.ts";

/** The most that another driver's number may be off, as a part of the largest. */
const TOLERANCE = 1e-5;

const NUMBERS = new URL("numbers.ts", import.meta.url).pathname;

type Numbers = Readonly<Record<string, readonly number[]>>;

async function numbersOf({ deno, args, env }: Stack): Promise<Numbers> {
  const flags = ["run", "--allow-all", "--no-check", "--no-lock", "--quiet"];
  const printed = await run(deno, [...flags, ...args, NUMBERS], {
    env: { DENO_WEBGPU_BACKEND: "vulkan", ...env },
  });
  return JSON.parse(printed.trim().split("\n").at(-1)!);
}

/** The largest difference, as a part of the largest number. */
function difference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Infinity;
  let [worst, largest] = [0, 0];
  for (const [i, x] of a.entries()) {
    worst = Math.max(worst, Number.isFinite(x) ? Math.abs(x - b[i]!) : Infinity);
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return worst / largest;
}

/** Says how two stacks compare, and whether that is as it should be. */
function compare(name: string, own: Numbers, other: Numbers, than: string, allowed: number): void {
  const parts = Object.entries(other).map(([what, values]) => {
    const off = difference(own[what] ?? [], values);
    if (!(off <= allowed)) Deno.exitCode = 1;
    return `${what} ${off === 0 ? "the same bits" : `within ${off.toExponential(1)}`}`;
  });
  console.log(`${name}, against ${than}: ${parts.join(", ")}`);
}

const groups = Deno.args.length > 0 ? Deno.args : Object.keys(STACKS);
for (const group of groups) {
  if (Object.hasOwn(STACKS, group)) continue;
  console.error(`Give stacks (${Object.keys(STACKS).join(", ")}): got "${group}"`);
  Deno.exit(2);
}
const installed: Stack = { name: "the installed driver", deno: Deno.execPath(), args: [], env: {} };
const reference = await numbersOf(installed);
/** By driver, those of the first stack that has it. */
const found = new Map<string, { name: string; numbers: Numbers }>();
for (const open of groups.flatMap((group) => Object.values(STACKS[group]!))) {
  const stack = await open();
  const numbers = await numbersOf(stack);
  compare(stack.name, numbers, reference, installed.name, TOLERANCE);
  const driver = JSON.stringify(stack.env);
  const before = found.get(driver);
  if (before) compare(stack.name, numbers, before.numbers, before.name, 0);
  else found.set(driver, { name: stack.name, numbers });
}
