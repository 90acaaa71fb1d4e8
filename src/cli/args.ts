/**
 * Command-line flags: strict parsing with errors that say what is allowed.
 *
 * A command lists its flags under the names of the options they set, in camelCase; on the command
 * line they are written in kebab-case: `maxSteps` is `--max-steps`.
 *
 * @module
 */

import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import type { NumberSetting } from "../rl/setting_kinds.ts";
import { nearest } from "../input/names.ts";

/** A command line that cannot be followed: what was given, what is allowed. */
export class UsageError extends Error {
  /** The kind of the error. */
  override readonly name = "UsageError";
}

/** One flag. */
export interface Flag<T> {
  /**
   * Turns what follows the flag into its value; absent where nothing may follow.
   *
   * @throws {RangeError} Saying what is allowed: `give …`.
   */
  readonly parse?: (text: string) => T;
  /** Its value where it is given alone; absent where something has to follow. */
  readonly alone?: T;
  /** What `--help` shows for the value. */
  readonly placeholder?: string;
  /** What it is for, one sentence. */
  readonly help: string;
  /** What others call it; whoever writes one of these is told the flag. */
  readonly aliases?: readonly string[];
  /** What `--help` shows as its default. */
  readonly default?: string | number | undefined;
}

/** Flags by the name of the option they set. */
// deno-lint-ignore no-explicit-any -- any kind of value
export type Flags = Readonly<Record<string, Flag<any>>>;

/** The values of flags; of those that were not given there is none. */
export type FlagValues<F extends Flags> = {
  -readonly [Name in keyof F]?: F[Name] extends Flag<infer T> ? T : never;
};

/** Allowed range of a number. */
export type NumberRange = Pick<NumberSetting, "min" | "max" | "integer">;

/** `maxSteps` → `max-steps`. */
export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `max-steps` → `maxSteps`. */
export function camel(name: string): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** A flag for a number, written out in decimal. */
export function numberFlag(
  range: NumberRange,
  help: string,
  defaultValue?: number | string,
): Flag<number> {
  const what = `${range.integer ? "a whole number" : "a number"} from ${range.min} to ${range.max}`;
  return {
    parse(text: string): number {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
      const allowed = value >= range.min && value <= range.max &&
        (!range.integer || Number.isInteger(value));
      if (!allowed) throw new RangeError(`give ${what}`);
      return value;
    },
    placeholder: range.integer ? "n" : "x",
    help,
    default: defaultValue,
  };
}

/** A flag for one of some words, in kebab-case or as the library writes them. */
export function choiceFlag<T extends string>(
  choices: readonly T[],
  help: string,
  defaultValue?: T | string,
): Flag<T> {
  return {
    parse(text: string): T {
      const found = choices.find((choice) => choice === text || kebab(choice) === text);
      if (found === undefined) throw new RangeError(`give one of ${choices.map(kebab).join(", ")}`);
      return found;
    },
    placeholder: choices.map(kebab).join("|"),
    help,
    default: defaultValue === undefined ? undefined : kebab(defaultValue),
  };
}

/** A flag for a text that is not empty, such as a folder. */
export function textFlag(placeholder: string, help: string, defaultValue?: string): Flag<string> {
  return {
    parse(text: string): string {
      if (text === "") throw new RangeError(`give <${placeholder}>`);
      return text;
    },
    placeholder,
    help,
    default: defaultValue,
  };
}

/** A flag that is on when given, and off as `--no-<name>`. */
export function switchFlag(help: string): Flag<boolean> {
  return { alone: true, help };
}

/** Every command has it. */
const HELP: Flags = { help: switchFlag("Show this.") };

/**
 * Parses a command's arguments.
 *
 * @param flags The command's flags.
 * @param args What was given.
 * @param positional The flag that a word of its own stands for, as a folder stands for `--checkpoint`.
 * @returns The value of each flag that was given, and whether help was asked for.
 * @throws {UsageError} For a flag that does not exist, a value that is missing or not allowed, and
 * for anything that is no flag, or a flag given twice.
 */
export function parseFlags<F extends Flags>(
  flags: F,
  args: readonly string[],
  positional?: keyof F & string,
): { values: FlagValues<F>; help: boolean } {
  const all: Flags = { ...flags, ...HELP };
  const options: ParseArgsOptionsConfig = { help: { type: "boolean", short: "h" } };
  for (const [name, flag] of Object.entries(all)) {
    if (name !== "help") options[kebab(name)] = { type: flag.parse ? "string" : "boolean" };
  }
  // Not its strict mode: its errors do not say what is allowed.
  const { tokens } = parseArgs({
    args: giveBareFlagsAValue(all, args),
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      if (positional !== undefined && values[positional] === undefined) {
        values[positional] = parseValue(all[positional]!, `--${kebab(positional)}`, token.value);
        continue;
      }
      const text = /^\S+$/.test(token.value) ? token.value : JSON.stringify(token.value);
      throw new UsageError(`${text} is no flag: flags begin with --, see --help`);
    }
    const { rawName, value, inlineValue } = token;
    const turnedOff = token.name.startsWith("no-") && isSwitch(all[camel(token.name.slice(3))]);
    const given = turnedOff ? token.name.slice(3) : token.name;
    const name = camel(given);
    // --maxSteps is not --max-steps.
    const flag = Object.hasOwn(all, name) && kebab(name) === given ? all[name]! : undefined;
    if (flag === undefined) throw unknownFlag(rawName, all);
    if (Object.hasOwn(values, name)) {
      throw new UsageError(`--${kebab(name)} is given twice: leave one out`);
    }
    if (!flag.parse) {
      if (value !== undefined) {
        throw new UsageError(`${rawName} takes no value: leave out ${JSON.stringify(value)}`);
      }
      values[name] = !turnedOff;
    } else if (value === undefined || (!inlineValue && value.startsWith("--"))) {
      throw new UsageError(`${rawName} needs a value: ${rawName} <${flag.placeholder}>`);
    } else if (inlineValue && value === BARE) {
      values[name] = flag.alone;
    } else {
      values[name] = parseValue(flag, rawName, value);
    }
  }
  const { help, ...rest } = values;
  return { values: rest as FlagValues<F>, help: help === true };
}

function isSwitch(flag: Flag<unknown> | undefined): boolean {
  return flag !== undefined && flag.parse === undefined && flag !== HELP.help;
}

/** Stands for the value of a flag that was given alone; no shell can pass it. */
const BARE = "\0";

/** Writes `--resume` without a value as one with a value, which parseArgs understands. */
function giveBareFlagsAValue(flags: Flags, args: readonly string[]): string[] {
  return args.map((arg, i) => {
    const flag = arg.startsWith("--") ? flags[camel(arg.slice(2))] : undefined;
    const next = args[i + 1];
    const bare = next === undefined || next.startsWith("-");
    return flag?.parse && flag.alone !== undefined && bare ? `${arg}=${BARE}` : arg;
  });
}

function parseValue(flag: Flag<unknown>, rawName: string, text: string): unknown {
  try {
    return flag.parse!(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`${rawName} is ${JSON.stringify(text)}: ${error.message}`);
  }
}

function unknownFlag(rawName: string, flags: Flags): UsageError {
  const given = rawName.replace(/^-+/, "");
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_.]/g, "");
  const meant = Object.entries(flags).find(([name, { aliases = [] }]) =>
    plain(given) !== "" && [name, ...aliases].some((known) => plain(known) === plain(given))
  );
  const near = meant ? kebab(meant[0]) : nearest(given, Object.keys(flags).map(kebab));
  return new UsageError(
    `there is no flag ${rawName}${near ? `, did you mean --${near}?` : ":"} --help lists all`,
  );
}

/**
 * Repeats a library error about options as one about flags.
 *
 * @param error What the library threw.
 * @param flags The flags whose options it may name.
 */
export function asUsageError(error: unknown, flags: Flags): unknown {
  if (!(error instanceof RangeError)) return error;
  return new UsageError(flagNames(error.message, flags), { cause: error });
}

/** Does something, and repeats an error of the library about options as one about flags. */
export function namingFlags<T>(flags: Flags, work: () => T): T {
  const rethrow = (error: unknown) => {
    throw asUsageError(error, flags);
  };
  try {
    const result = work();
    return result instanceof Promise ? result.catch(rethrow) as T : result;
  } catch (error) {
    return rethrow(error);
  }
}

/** A text of the library with the options it names written as flags: `maxSteps` as `--max-steps`. */
export function flagNames(text: string, flags: Flags): string {
  return text.replaceAll(
    /\b[a-z]+(?:[A-Z][a-z]*)+\b|^[a-z]+(?= (?:is|must|has|needs)\b)/g,
    (word) => Object.hasOwn(flags, word) ? `--${kebab(word)}` : word,
  );
}

/** Refuses flags that say nothing beside another one. */
export function refuseBeside(values: object, flags: object, beside: string, why: string): void {
  const given = Object.keys(values).find((name) => Object.hasOwn(flags, name));
  if (given !== undefined) {
    throw new UsageError(`--${kebab(given)} does not go with ${beside}: ${why}`);
  }
}
