/**
 * Answers in LaTeX: finding the boxed one, and telling whether two are the same.
 *
 * @module
 */

import { sameNumber, type WrittenNumber } from "./same_number.ts";

/**
 * What stands in the last `\boxed{…}` of a text, braces balanced.
 *
 * @returns `undefined` if there is none.
 */
export function lastBoxed(text: string): string | undefined {
  const begin = text.lastIndexOf("\\boxed{");
  if (begin < 0) return undefined;
  const first = begin + "\\boxed{".length;
  let depth = 1;
  for (let at = first; at < text.length; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0) return text.slice(first, at);
  }
  return undefined;
}

/** Spellings that mean the same, in the order they are replaced. */
const SPELLINGS: readonly (readonly [RegExp, string])[] = [
  [/\n|\\!/g, ""],
  [/\\\\/g, "\\"],
  [/\\[td]frac/g, "\\frac"],
  [/\\left|\\right/g, ""],
  [/\^\{\\circ\}|\^\\circ/g, ""],
  [/\\\$|\$/g, ""],
  // Digits in groups of three.
  [/(?<=\d),(?=\d{3}(?!\d))/g, ""],
  // A unit behind a number.
  [/\\text\{ .*$/, ""],
  [/\\?%/g, ""],
  // ".5" and "{.5" begin with no digit.
  [/(^| |\{)\./g, "$10."],
];

/**
 * One spelling of those that mean the same: fractions, roots, units, percent and dollar signs, spaces.
 *
 * After `strip_string` of Hendrycks et al., arXiv 2103.03874, which the published code of arXiv 2509.07558 compares with.
 */
export function stripMath(text: string): string {
  let s = text;
  for (const [pattern, replacement] of SPELLINGS) {
    s = s.replaceAll(new RegExp(pattern, "g"), replacement);
  }
  if (s === "") return s;
  // "k = 3" answers what k is.
  const sides = s.split("=");
  if (sides.length === 2 && sides[0]!.trim().length <= 2) s = sides[1]!;
  s = s.replaceAll(/\\sqrt\s*([^{\s])/g, "\\sqrt{$1}");
  s = s.replaceAll(/\s/g, "");
  // \frac12, \frac1{72} and \frac{1}2.
  s = s.replaceAll(/\\frac([^{])([^{])/g, "\\frac{$1}{$2}");
  s = s.replaceAll(/\\frac([^{])(?=\{)/g, "\\frac{$1}");
  s = s.replaceAll(/\\frac(\{[^{}]*\})([^{])/g, "\\frac$1{$2}");
  if (s === "0.5") return "\\frac{1}{2}";
  return s.replace(/^(-?\d+)\/(-?\d+)$/, "\\frac{$1}{$2}");
}

/** The value of a number or a fraction of two, `undefined` of anything else. */
function valueOf(text: string): WrittenNumber | undefined {
  const number = String.raw`[+-]?\d+(?:\.\d+)?`;
  if (new RegExp(`^${number}$`).test(text)) return { value: Number(text), text };
  const fraction = new RegExp(String.raw`^([+-]?)\\frac\{(${number})\}\{(${number})\}$`).exec(text);
  if (fraction === null) return undefined;
  const [, sign, above, below] = fraction;
  return { value: (sign === "-" ? -1 : 1) * Number(above) / Number(below) };
}

/**
 * Whether two answers are the same: in one spelling, or as numbers, which may differ by rounding unless they are whole.
 *
 * @param a One, as LaTeX or plain text.
 * @param b The other.
 */
export function sameMath(a: string, b: string): boolean {
  const [left, right] = [stripMath(a), stripMath(b)];
  if (left === right) return true;
  const [x, y] = [valueOf(left), valueOf(right)];
  return x !== undefined && y !== undefined && sameNumber(x, y, 1e-9);
}
