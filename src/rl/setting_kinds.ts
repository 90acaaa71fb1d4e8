/**
 * Kinds of settings: numbers, words, switches.
 *
 * @module
 */

import { isOwnObjective } from "../objective/own_objective.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/** Where `--help` lists a setting. */
export type SettingSection =
  | "run"
  | "objective"
  | "reference"
  | "rollouts"
  | "overlong"
  | "optimizer"
  | "evaluation";

/** A default, or in words what decides it. */
type Default<T> = T | { readonly by: string };

/** What every setting has. */
interface Common<T> {
  /** Where `--help` lists it. */
  readonly section: SettingSection;
  /** One sentence. */
  readonly help: string;
  /** Its value where none is given; the command line shows `shown` in its place. */
  readonly default: Default<T>;
  /** What the command line shows as the default, where a task has a say. */
  readonly shown?: string;
  /** What TRL, verl and others call it. */
  readonly aliases?: readonly string[];
  /** Without this it has no effect. */
  readonly needs?: readonly [what: string, met: (options: ResolvedTrainOptions) => boolean];
}

/** A number. */
export interface NumberSetting extends Common<number> {
  /** Tells the kinds apart. */
  readonly kind: "number";
  /** Smallest value. */
  readonly min: number;
  /** Largest value. */
  readonly max: number;
  /** Whether it must be an integer. */
  readonly integer: boolean;
}

/** One of some words. */
export interface ChoiceSetting extends Common<string> {
  /** Tells the kinds apart. */
  readonly kind: "choice";
  /** The words, and other names for them. */
  readonly choices: Readonly<Record<string, object>>;
}

/** On or off. */
export interface SwitchSetting extends Common<boolean> {
  /** Tells the kinds apart. */
  readonly kind: "switch";
}

/** Responses per optimizer step: a number, or all. */
export interface MiniBatchSetting extends Common<"all"> {
  /** Tells the kinds apart. */
  readonly kind: "miniBatch";
}

/** Rules of one's own: an object in the library, a module on the command line. */
export interface OwnSetting extends Common<never> {
  /** Tells the kinds apart. */
  readonly kind: "own";
}

/** A setting. */
export type Setting =
  | NumberSetting
  | ChoiceSetting
  | SwitchSetting
  | MiniBatchSetting
  | OwnSetting;

type Extra = Pick<Common<unknown>, "shown" | "aliases" | "needs">;

/** The settings of a section, made by what is special about each. */
export function section(section: SettingSection) {
  const number =
    (integer: boolean) =>
    (min: number, max: number, value: Default<number>, help: string, extra: Extra = {}) =>
      ({ kind: "number", section, integer, min, max, default: value, help, ...extra }) as const;
  return {
    count: number(true),
    real: number(false),
    choice: (
      choices: readonly string[] | ChoiceSetting["choices"],
      value: Default<string>,
      help: string,
      extra: Extra = {},
    ): ChoiceSetting => ({
      kind: "choice",
      section,
      choices: Array.isArray(choices)
        ? Object.fromEntries(choices.map((name) => [name, {}]))
        : choices as ChoiceSetting["choices"],
      default: value,
      help,
      ...extra,
    }),
    toggle: (help: string, extra: Extra = {}): SwitchSetting => ({
      kind: "switch",
      section,
      default: false,
      help,
      ...extra,
    }),
  };
}

/** Whether a setting may have a value, and in words what it may have. */
export function allowed(setting: Setting, value: unknown): [valid: boolean, what: string] {
  switch (setting.kind) {
    case "number": {
      const { min, max, integer } = setting;
      const inside = typeof value === "number" && value >= min && value <= max;
      return [
        inside && (!integer || Number.isInteger(value)),
        `${integer ? "an integer" : "a number"} from ${min} to ${max}`,
      ];
    }
    case "choice":
      return [
        typeof value === "string" && Object.hasOwn(setting.choices, value),
        `one of ${Object.keys(setting.choices).join(", ")}`,
      ];
    case "switch":
      return [typeof value === "boolean", "true or false"];
    case "own":
      return [
        isOwnObjective(value),
        "an object with a name and advantages, weights or a surrogate",
      ];
    case "miniBatch":
      return [
        value === "all" || (Number.isInteger(value) && (value as number) > 0),
        `"all" or a multiple of numGenerations`,
      ];
  }
}
