/**
 * CountDown in words: the task, prompt and reward of the paper (arXiv 2509.07558), for models with a tokenizer.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { Random } from "../random/random.ts";
import type { PromptRow } from "../task/dataset.ts";
import { type DefinedTask, defineTask } from "../task/define_task.ts";
import type { Split } from "../task/task.ts";
import type { Tokenizer } from "../task/tokenizer.ts";
import { evaluateArithmetic } from "./arithmetic.ts";

/** A problem: reach the target with the numbers. */
export interface CountdownRow extends PromptRow {
  /** The prompt in words. */
  readonly prompt: string;
  /** The numbers to use, every one exactly once. */
  readonly nums: readonly number[];
  /** The value to reach. */
  readonly target: number;
}

/**
 * The paper's prompt for base models, word by word; it ends within the answer, after `<think>`.
 *
 * @param numbers The numbers to use.
 * @param target The value to reach.
 */
export function countdownPrompt(numbers: readonly number[], target: number): string {
  return "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The " +
    "assistant first thinks about the reasoning process in the mind and then provides the user with the answer.\n" +
    `User: Using the numbers [${numbers.join(", ")}], create an equation that equals ${target}. ` +
    "You can use basic arithmetic operations (+, -, *, /) and each number can only be used once. " +
    "Show your work in <think> </think> tags. And return the final answer in <answer> </answer> tags, for example " +
    "<answer> (1 + 2) / 3 </answer>.\n" +
    "Assistant: Let me solve this step by step.\n<think>";
}

const OPEN = "<answer>";
const CLOSE = "</answer>";

/** Whether Python's `str.strip` removes a character. */
function isSpace(character: string): boolean {
  return /\s/.test(character) ? character !== "\ufeff" : "\x1c\x1d\x1e\x1f\x85".includes(character);
}

/** A text without the white space around it; a loop, because a pattern's time is quadratic in a run of spaces. */
function strip(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isSpace(text[start]!)) start++;
  while (end > start && isSpace(text[end - 1]!)) end--;
  return text.slice(start, end);
}

/**
 * The answer in a completion: what stands in the last `<answer> … </answer>` of its last line, once everything up to the
 * first `Assistant:` (or else `<|im_start|>assistant`) and white space around the rest are gone.
 *
 * @returns `undefined` if there is none.
 */
export function countdownAnswer(completion: string): string | undefined {
  for (const marker of ["Assistant:", "<|im_start|>assistant"]) {
    const at = completion.indexOf(marker);
    if (at < 0) continue;
    completion = completion.slice(at + marker.length);
    break;
  }
  const lastLine = strip(completion).split("\n").at(-1)!;
  let answer: string | undefined;
  for (let at = 0;;) {
    const open = lastLine.indexOf(OPEN, at);
    const close = open < 0 ? -1 : lastLine.indexOf(CLOSE, open + OPEN.length);
    if (close < 0) break;
    answer = lastLine.slice(open + OPEN.length, close);
    at = close + CLOSE.length;
  }
  return answer === undefined ? undefined : strip(answer);
}

/**
 * The paper's reward: 1 if the answer uses every number exactly once and its value is the target within 1e-5, else 0.
 *
 * As in the published code, digits are counted as numbers wherever they stand (`2.5*4` uses 2, 5 and 4), `//` and `**`
 * are allowed, and an equals sign is not. The code evaluates answers with Python's `eval`; this function never runs one,
 * and departs from it in three ways: values are exact fractions instead of doubles, numbers beyond 4096 bits have no
 * value (`44**19**35` would occupy `eval` for ever), and neither have roots of negative numbers (Python's are complex).
 *
 * @param completion The response as text, without special tokens.
 * @param problem Numbers and target.
 */
export function countdownReward(
  completion: string,
  { nums, target }: Pick<CountdownRow, "nums" | "target">,
): number {
  const answer = countdownAnswer(completion);
  if (answer === undefined) return 0;
  const used = [...answer.matchAll(/\d+/g)].map(([digits]) => digits.replace(/^0+(?=\d)/, ""));
  if (used.sort().join() !== nums.map(String).sort().join()) return 0;
  const value = evaluateArithmetic(answer);
  return value !== undefined && Math.abs(value - target) < 1e-5 ? 1 : 0;
}

/** Tokens that a demonstration has room in. */
const SHOWN = 256;

/** Combinations to try for a solution; four numbers have fewer. */
const MAX_TRIED = 50_000;

/** A number made of others: its value, how, and the steps on the way. */
interface Made {
  readonly value: number;
  readonly text: string;
  readonly steps: readonly string[];
}

/** What the prompt asks for: steps, then the answer; the sum of the numbers where no solution is found. */
function shownSolution({ nums, target }: CountdownRow, random: Random): string {
  const given = nums.map((value): Made => ({ value, text: `${value}`, steps: [] }));
  const left = { tries: MAX_TRIED };
  const { text, steps } = solve(given, target, random, left) ??
    given.reduce((a, b) => join(a, "+", b)!);
  const answer = /^\(.*\)$/.test(text) ? text.slice(1, -1) : text;
  return ` ${steps.join(", ")}. </think>\n<answer> ${answer} </answer>`;
}

/** Two numbers joined by an operation; `undefined` where the result is no whole number. */
function join(a: Made, operator: string, b: Made): Made | undefined {
  const [x, y] = [a.value, b.value];
  const value = operator === "+"
    ? x + y
    : operator === "-"
    ? x - y
    : operator === "*"
    ? x * y
    : x / y;
  if (!Number.isInteger(value)) return undefined;
  const step = `${x} ${operator} ${y} = ${value}`;
  return {
    value,
    text: `(${a.text} ${operator} ${b.text})`,
    steps: [...a.steps, ...b.steps, step],
  };
}

/** Joins all of some numbers to a target, in a random order of trying. */
function solve(
  numbers: readonly Made[],
  target: number,
  random: Random,
  left: { tries: number },
): Made | undefined {
  if (numbers.length === 1) return numbers[0]!.value === target ? numbers[0] : undefined;
  const pairs = numbers.flatMap((a) => numbers.filter((b) => b !== a).map((b) => [a, b] as const));
  for (const [a, b] of random.shuffle(pairs)) {
    const others = numbers.filter((number) => number !== a && number !== b);
    for (const operator of random.shuffle(["+", "-", "*", "/"])) {
      if (left.tries-- <= 0) return undefined;
      const made = join(a, operator, b);
      const found = made && solve([...others, made], target, random, left);
      if (found) return found;
    }
  }
  return undefined;
}

/** Options of {@linkcode textCountdown}. */
export interface TextCountdownOptions {
  /** The model's tokenizer. */
  readonly tokenizer: Tokenizer;
  /** Problems, for instance rows of a JSON Lines file. Default: drawn at random, see {@linkcode textCountdown}. */
  readonly problems?: readonly Pick<CountdownRow, "nums" | "target">[];
  /** Problems to evaluate on, where `problems` are given. Default: an eighth of them. */
  readonly evalProblems?: readonly Pick<CountdownRow, "nums" | "target">[];
  /** The most tokens of a completion. Default 1024; the paper has 3072 and 8192. */
  readonly maxCompletionLength?: number;
  /** The most tokens of a prompt; longer ones of a list are left out. Default 256, as in the paper. */
  readonly maxPromptLength?: number;
}

const NAMES = namesOf<TextCountdownOptions>({
  tokenizer: true,
  problems: true,
  evalProblems: true,
  maxCompletionLength: true,
  maxPromptLength: true,
});

/**
 * The CountDown task of the paper for a model with a tokenizer.
 *
 * Without `problems` they are drawn at random in the manner of the paper's data set: three or four numbers from 1 to 99
 * and a target from 10 to 100 that some combination of them reaches, one problem in eight for evaluation alone.
 * Demonstrations, for a warm start, show steps and the answer; there are none where a completion has fewer than 256 tokens.
 *
 * @throws {RangeError | TypeError} If a problem has no numbers or no target, or no prompt is short enough.
 */
export function textCountdown(options: TextCountdownOptions): DefinedTask<CountdownRow> {
  checkNames("textCountdown", options, NAMES);
  const { tokenizer, maxCompletionLength = 1024, maxPromptLength = 256 } = options;
  const fits = (prompt: string) =>
    tokenizer.encode(prompt, { specialTokens: true }).length <= maxPromptLength;
  const rows = (problems: readonly Pick<CountdownRow, "nums" | "target">[], what: string) =>
    problems.map((problem, i) => rowOf(problem, `${what}[${i}]`));
  return defineTask<CountdownRow>({
    name: "countdown-text",
    tokenizer,
    prompts: options.problems ? rows(options.problems, "problems") : Object.assign(
      (split: Split, seed: number, index: number) => drawnRow(split, seed, index, fits),
      { heldOut: true },
    ),
    ...(options.evalProblems ? { evalPrompts: rows(options.evalProblems, "evalProblems") } : {}),
    filterOverlongPrompts: true,
    maxPromptLength,
    maxCompletionLength,
    verify: ({ completion, row }) => countdownReward(completion, row),
    ...(maxCompletionLength >= SHOWN && { demonstrate: shownSolution }),
    defaults: { rl: { maxSteps: 200, promptsPerStep: 8, numGenerations: 8, learningRate: 1e-6 } },
  });
}

function rowOf(problem: Pick<CountdownRow, "nums" | "target">, where: string): CountdownRow {
  const { nums, target } = problem ?? {};
  const valid = Array.isArray(nums) && nums.length > 0 && Number.isFinite(target) &&
    nums.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!valid) {
    throw new TypeError(
      `${where} must have nums, a list of whole numbers, and a target: got ` +
        `${JSON.stringify(problem)}`,
    );
  }
  return { ...problem, prompt: countdownPrompt(nums, target) };
}

/** Stream number of drawn problems among the uses of a seed, with 0 or 1 for the split behind it. */
const PROBLEM = 7;

/** Draws after which no prompt is expected to be short enough. */
const MAX_DRAWS = 10_000;

/** A problem with a solution, drawn again until it belongs to the split and its prompt is short enough. */
function drawnRow(
  split: Split,
  seed: number,
  index: number,
  fits: (prompt: string) => boolean,
): CountdownRow {
  const random = new Random(seed, PROBLEM, split === "train" ? 0 : 1, index);
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const nums = Array.from({ length: 3 + random.integer(2) }, () => 1 + random.integer(99));
    const target = combine(random, nums);
    if (target === undefined) continue;
    // The split is a function of the problem, whatever the order of its numbers, and of nothing else.
    const key = new Random(target, ...nums.toSorted((a, b) => a - b));
    if ((key.integer(8) === 0) !== (split === "eval")) continue;
    const prompt = countdownPrompt(nums, target);
    if (fits(prompt)) return { nums, target, prompt };
  }
  throw new RangeError(
    "No CountDown prompt is short enough for this tokenizer: raise maxPromptLength",
  );
}

/** The value of the numbers in random order joined by random operations; `undefined` unless a whole one from 10 to 100. */
function combine(random: Random, nums: readonly number[]): number | undefined {
  const values = random.shuffle([...nums]);
  while (values.length > 1) {
    const a = values.splice(random.integer(values.length), 1)[0]!;
    const b = values.splice(random.integer(values.length), 1)[0]!;
    const operator = random.pick(["+", "-", "*", "/"]);
    if (operator === "/" && (b === 0 || a % b !== 0)) return undefined;
    values.push(
      operator === "+" ? a + b : operator === "-" ? a - b : operator === "*" ? a * b : a / b,
    );
  }
  const [value] = values as [number];
  return value >= 10 && value <= 100 ? value : undefined;
}
