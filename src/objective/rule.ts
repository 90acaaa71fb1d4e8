/**
 * What the families of rules share. A family is one table from name to rule: the number the kernel knows it by, the
 * settings it reads, its formula, its other names and its computation in float64. Everything else that depends on a
 * rule is read from there.
 *
 * @module
 */

/** A rule of a family, apart from its computation. */
export interface Rule<Settings> {
  /** Its number in the kernel, where `deltaL` is `const DELTA_L`. */
  readonly code: number;
  /** Its name in verl. */
  readonly verl?: string;
  /** Other names, as verl, TRL or a paper write them; case, hyphens and underscores do not matter. */
  readonly aliases?: readonly string[];
  /** Settings that have an effect with this rule, among those that not every rule of the family reads. */
  readonly needs?: readonly string[];
  /** The rule as a formula, with every setting in its place. */
  readonly formula: (settings: Settings) => string;
}

/** A name without case, hyphens, underscores and spaces. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_\s]/g, "");
}

function otherNames({ verl, aliases = [] }: Pick<Rule<never>, "verl" | "aliases">): string[] {
  return verl === undefined ? [...aliases] : [verl, ...aliases];
}

/**
 * The rule of a name as users write it: its own in any case and hyphenation, or an alias.
 *
 * @param rules The family.
 * @param setting The setting it is chosen by, for the message.
 * @param name What was given.
 * @throws {RangeError} For a name that is none of them; the message lists the rules.
 */
export function findRule<Name extends string>(
  rules: Readonly<Record<Name, object>>,
  setting: string,
  name: string,
): Name {
  const names = Object.keys(rules) as Name[];
  const found = names.find((rule) =>
    [rule, ...otherNames(rules[rule])].some((known) => plain(known) === plain(name))
  );
  if (found === undefined) {
    throw new RangeError(`${setting} is ${name}: choose one of ${names.join(", ")}`);
  }
  return found;
}

/** The rule of exactly this name. */
export function ruleOf<Name extends string, R>(
  rules: Readonly<Record<Name, R>>,
  setting: string,
  name: Name,
): R {
  if (!Object.hasOwn(rules, name)) {
    throw new RangeError(`${setting} is ${name}: choose one of ${Object.keys(rules).join(", ")}`);
  }
  return rules[name];
}
