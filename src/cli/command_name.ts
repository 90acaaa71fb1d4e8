/**
 * How commands are called where this program runs: `deno task` in a checkout, elsewhere by its address.
 *
 * @module
 */

import { relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The program, as `deno run` takes it, from outside a checkout. */
const PACKAGE = "jsr:@deltal/deltal/cli";

/** How texts of the program call commands. */
const IN_CHECKOUT = "deno task ";

/**
 * A text with its commands as they can be called here.
 *
 * @param text What speaks of commands as `deno task train`.
 * @param main The module that was started.
 * @param cwd The folder it was started in.
 */
export function callableHere(
  text: string,
  main: string = Deno.mainModule,
  cwd: string = Deno.cwd(),
): string {
  return text.replaceAll(IN_CHECKOUT, prefix(main, cwd));
}

function prefix(main: string, cwd: string): string {
  // Whatever else was started, such as a test, is no command line.
  if (!main.endsWith("/src/cli/main.ts")) return IN_CHECKOUT;
  if (!main.startsWith("file:")) return `deno run -A ${PACKAGE} `;
  const program = fileURLToPath(main);
  const checkout = fileURLToPath(new URL("../..", main));
  // Tasks run in the folder of their deno.json.
  return relative(checkout, cwd) === "" ? IN_CHECKOUT : `deno run -A ${program} `;
}

/**
 * How to grant a permission that is missing; tasks have few, and verifiers may need more.
 *
 * @param args The command line that was given.
 * @param options `native` if it is for a package of native code, which a checkout's deno.lock had better not list: what it
 * lists is fetched by every task.
 */
export function withAllPermissions(
  args: readonly string[],
  { native = false }: { native?: boolean } = {},
): string {
  const call = callableHere(IN_CHECKOUT).trimEnd();
  const program = call === IN_CHECKOUT.trimEnd()
    ? `deno run -A ${native ? "--no-lock " : ""}src/cli/main.ts`
    : call;
  return [program, ...args.map(quoted)].join(" ");
}

/**
 * A command line as it can be given again, in a checkout.
 *
 * @param args The command and its flags.
 */
export function commandLine(args: readonly string[]): string {
  return IN_CHECKOUT + args.map(quoted).join(" ");
}

/** An argument as a shell takes it. */
function quoted(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
