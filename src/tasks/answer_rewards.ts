/**
 * Rewards by name for prompts with known answers.
 *
 * @module
 */

import { lastBoxed, sameMath } from "./math_answer.ts";
import { sameNumber, type WrittenNumber } from "./same_number.ts";

/** A way of comparing a completion with the answer of its row. */
export interface AnswerReward {
  /** What it rewards, for people. */
  readonly about: string;
  /**
   * 1 if the completion is right, else 0.
   *
   * @param completion The response as text.
   * @param answer The answer of the row.
   */
  readonly judge: (completion: string, answer: string) => number;
  /**
   * Checks an answer before anything is trained on it.
   *
   * @returns What is wrong with it, if something is.
   */
  readonly refuse?: (answer: string) => string | undefined;
}

/** A number as people write it: with a sign, thousands separated by commas, a fraction, an exponent. */
const NUMBER = /[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|[+-]?\.\d+/g;

/** The last number of a text; that behind `####`, where GSM8K has it, before all others. */
function lastNumber(text: string): WrittenNumber | undefined {
  const marked = text.lastIndexOf("####");
  const found = text.slice(Math.max(0, marked)).match(NUMBER)?.at(-1)?.replaceAll(",", "");
  return found === undefined ? undefined : { value: Number(found), text: found };
}

/** What stands in the last `<answer> … </answer>`. */
function tagged(text: string): string | undefined {
  return [...text.matchAll(/<answer>((?:(?!<answer>)[^])*?)<\/answer>/g)].at(-1)?.[1]?.trim();
}

/** Name of a reward. */
export type AnswerRewardName =
  | "exactMatch"
  | "contains"
  | "numericMatch"
  | "boxed"
  | "answerTag"
  | "regex";

/** The rewards there are, by name. */
export const ANSWER_REWARDS: Readonly<Record<AnswerRewardName, AnswerReward>> = {
  exactMatch: {
    about: "the completion is the answer, but for white space around it",
    judge: (completion, answer) => Number(completion.trim() === answer.trim()),
  },
  contains: {
    about: "the answer stands somewhere in the completion",
    judge: (completion, answer) => Number(completion.includes(answer)),
    refuse: (answer) => answer === "" ? "is empty, which every completion contains" : undefined,
  },
  numericMatch: {
    about:
      "the last number of the completion is that of the answer, within a millionth unless both are whole",
    judge: (completion, answer) => {
      const [given, wanted] = [lastNumber(completion), lastNumber(answer)];
      return Number(given !== undefined && wanted !== undefined && sameNumber(given, wanted, 1e-6));
    },
    refuse: (answer) => {
      const number = lastNumber(answer);
      if (number === undefined) return "has no number";
      return Number.isFinite(number.value)
        ? undefined
        : "is beyond what a number can be, about 1.8e308";
    },
  },
  boxed: {
    about: "the last \\boxed{…} is the answer, as mathematics: 0.5 is \\frac{1}{2}",
    judge: (completion, answer) => {
      const boxed = lastBoxed(completion);
      return Number(boxed !== undefined && sameMath(boxed, lastBoxed(answer) ?? answer));
    },
  },
  answerTag: {
    about: "the last <answer>…</answer> is the answer, as text or as mathematics",
    judge: (completion, answer) => {
      const given = tagged(completion);
      const wanted = tagged(answer) ?? answer.trim();
      return Number(given !== undefined && (given === wanted || sameMath(given, wanted)));
    },
  },
  regex: {
    about: "the answer, a regular expression of JavaScript, matches the completion",
    judge: (completion, answer) => Number(new RegExp(answer, "u").test(completion)),
    refuse: (answer) => {
      if (answer === "") return "is empty, which matches every completion";
      try {
        new RegExp(answer, "u");
        return undefined;
      } catch (error) {
        return `is no regular expression: ${(error as Error).message}`;
      }
    },
  },
};
