/**
 * Flags that make a task of a file of prompts and answers.
 *
 * @module
 */

import { ANSWER_REWARDS, type AnswerRewardName } from "../tasks/answer_rewards.ts";
import { type Flag, type FlagValues, kebab, numberFlag, switchFlag, textFlag } from "./args.ts";

/** Rewards with their weights. */
export type RewardWeights = Readonly<Partial<Record<AnswerRewardName, number>>>;

const NAMES = Object.keys(ANSWER_REWARDS) as AnswerRewardName[];

/** `exact-match`, or several with weights: `numeric-match:1,contains:0.1`. */
const reward: Flag<RewardWeights> = {
  parse(text: string): RewardWeights {
    const weights: Partial<Record<AnswerRewardName, number>> = {};
    for (const part of text.split(",")) {
      const [written, weight = "1", ...rest] = part.split(":");
      const name = NAMES.find((name) => name === written || kebab(name) === written);
      const value = /^[+-]?\d*\.?\d+$/.test(weight) ? Number(weight) : NaN;
      if (name === undefined || rest.length > 0 || !Number.isFinite(value) || name in weights) {
        throw new RangeError(
          `give one of ${NAMES.map(kebab).join(", ")}, or several with weights as ` +
            "numeric-match:1,contains:0.1",
        );
      }
      weights[name] = value;
    }
    return weights;
  },
  placeholder: NAMES.map(kebab).join("|"),
  help: `With --data: how completions are judged by the answer. ${
    NAMES.map((name) => `${kebab(name)}: ${ANSWER_REWARDS[name].about}`).join("; ")
  }.`,
};

const chatTemplateKwargs: Flag<Readonly<Record<string, unknown>>> = {
  parse(text: string): Readonly<Record<string, unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
    throw new RangeError(`give a JSON object, as '{"enable_thinking": false}'`);
  },
  placeholder: "json",
  help: "Variables of the model's chat template, for prompts that are conversations.",
};

/** Flags that say how a file of prompts and answers is read and judged. */
export const HOW_FLAGS = {
  reward,
  promptColumn: textFlag("name", "With --data: the column of the prompts.", "prompt"),
  answerColumn: textFlag("name", "With --data: the column of the answers.", "answer"),
  demonstrationColumn: textFlag(
    "name",
    "With --data: the column of completions to imitate in the warm start, if there is one.",
    "demonstration",
  ),
  chatTemplate: switchFlag(
    "With --data: ask prompts that are texts as a user's message, in the model's chat template.",
  ),
  chatTemplateKwargs,
  maxPromptLength: numberFlag(
    { min: 1, max: 1e6, integer: true },
    "With --data: leave prompts of more tokens out, and say how many.",
    "the longest",
  ),
};

/** Flags of a task that is a file. */
export const DATASET_FLAGS = {
  data: textFlag(
    "file.jsonl|.parquet",
    "Prompts and answers, a JSON object on each line or rows of parquet, judged by --reward; with --task countdown-text " +
      'its problems, {"nums": […], "target": …}.',
  ),
  ...HOW_FLAGS,
};

/** How a file is read and judged, as runs record it. */
export type DatasetSettings = FlagValues<typeof HOW_FLAGS> & {
  /** The name of the task; that of the file a run was begun with. */
  readonly name?: string;
};

/** What names a task on the command line. */
export interface TaskNames {
  /** Its name, or the path of a module. */
  readonly task?: string | undefined;
  /** The file of its problems. */
  readonly data?: string | undefined;
  /** How the file is read and judged, where the task is nothing but a file, and how conversations are written. */
  readonly dataset?: DatasetSettings;
}

/** Whether a task is nothing but a file: one that a run recorded so, or that comes with a reward. */
export function isFile({ task, data, dataset }: TaskNames): boolean {
  return task === undefined && data !== undefined &&
    (dataset?.name !== undefined || dataset?.reward !== undefined);
}

/** What names the task among the values of flags. */
export function namesOf(
  values: FlagValues<typeof DATASET_FLAGS> & { readonly task?: string },
): TaskNames {
  const given = Object.entries(values).filter(([name]) => Object.hasOwn(HOW_FLAGS, name));
  return {
    task: values.task,
    data: values.data,
    ...(given.length > 0 ? { dataset: Object.fromEntries(given) } : {}),
  };
}
