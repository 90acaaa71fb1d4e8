/**
 * `probe`: what to expect of reinforcement learning, before any is done.
 *
 * @module
 */

import { probe, type ProbeReport, type ProbeVerdict } from "../rl/probe.ts";
import { truncationOf } from "../model/truncation.ts";
import { SETTINGS } from "../rl/settings.ts";
import { TRUNCATION_FLAGS } from "./sampling_flags.ts";
import { flagNames, type FlagValues, numberFlag, switchFlag } from "./args.ts";
import { CHECKPOINT_FLAG } from "./checkpoint.ts";
import { DATASET_FLAGS } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { DEVICE_FLAGS, withGpu } from "./gpu.ts";
import { type Command, command } from "./command.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { policyToStudy } from "./policy_to_study.ts";
import { evaluating, standardError } from "./progress.ts";
import { bold, dim, percent, wrap } from "./style.ts";
import { SIZE_FLAGS, TRAIN_FLAGS, WARM_START_FLAGS } from "./train_flags.ts";

const PROBE_FLAGS = {
  task: taskFlag("What to ask.", "parity, or the checkpoint's"),
  ...DATASET_FLAGS,
  checkpoint: { ...CHECKPOINT_FLAG, default: "the task's warm start" },
  prompts: numberFlag({ min: 1, max: 1e6, integer: true }, "Different prompts.", 64),
  numGenerations: numberFlag(SETTINGS.numGenerations, "Samples per prompt.", 16),
  maxCompletionLength: numberFlag(
    SETTINGS.maxCompletionLength,
    "The most tokens of a response.",
    "the run's, the task's",
  ),
  temperature: numberFlag(SETTINGS.temperature, "Softmax temperature.", "the run's, 1"),
  ...TRUNCATION_FLAGS,
  seed: numberFlag(SETTINGS.seed, "Seed of prompts and sampling.", "the run's, 42"),
  ...DEVICE_FLAGS,
  json: switchFlag("Print one JSON object."),
  quiet: switchFlag("Print no progress."),
  verbose: switchFlag("Print where in the code an error arose."),
};

const FLAGS = { ...PROBE_FLAGS, ...WARM_START_FLAGS, ...SIZE_FLAGS };

const VERDICTS: Readonly<Record<ProbeVerdict, string>> = {
  ready: "ready for reinforcement learning",
  hard: "hard: expect a slow start",
  hopeless: "not ready: there is next to nothing to reinforce",
  easy: "nearly learnt already",
};

/** `probe`. */
export const PROBE: Command = command({
  name: "probe",
  brief: "Tell what training would have to work with",
  about:
    "Samples a policy on training prompts and says what reinforcement learning would have to " +
    "work with: how many samples are right, how many prompts have samples to tell apart, how much " +
    "the policy varies, and how much the lengths differ.",
  sections: [
    { title: "Flags", flags: PROBE_FLAGS },
    {
      title: "Warm start, where no checkpoint is given",
      flags: { ...WARM_START_FLAGS, ...SIZE_FLAGS },
    },
  ],
  examples: [
    ["deno task probe --task countdown", "the start of countdown"],
    ["deno task probe runs/parity-1", "whether more training would pay"],
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const output = standardError(values.quiet ?? values.json);
  using interrupt = Interrupt.said(output);
  return await withGpu(async (gpu) => {
    const found = await policyToStudy(gpu, values, { output, interrupt }, "parity");
    if (found === undefined) return INTERRUPTED;
    const { policy, task, checkpoint, recorded } = found;
    const { prompts, numGenerations } = values;
    const settings = { ...recorded, ...values };
    const { maxCompletionLength, temperature, seed } = settings;
    const report = await evaluating(output, (onProgress) =>
      probe(policy, task, {
        prompts,
        numGenerations,
        maxCompletionLength,
        temperature,
        ...truncationOf(settings),
        seed,
        onProgress,
      }));
    policy.destroy();
    console.log(
      values.json
        ? JSON.stringify({ checkpoint, task: task.name, ...report })
        : [bold(`${task.name}: ${checkpoint}`), ...formatProbe(report)].join("\n"),
    );
    return 0;
  }, values);
}

/** The report as lines. */
export function formatProbe({ samples, verdict, advice }: ProbeReport): string[] {
  const error = samples.meanAtNError;
  const shares = Math.abs(samples.meanAtN - samples.passAtK[1]!) < 1e-9;
  const rows: [string, string][] = [
    shares
      ? ["accuracy", `${percent(samples.meanAtN)} ± ${percent(error)}`]
      : ["mean reward", `${samples.meanAtN.toFixed(3)} ± ${error.toFixed(3)}`],
    ...Object.entries(samples.passAtK).map(([k, rate]): [string, string] => [
      `pass@${k}`,
      percent(rate),
    ]),
    ["prompts with differing rewards", percent(samples.mixed)],
    ["all right / all wrong", `${percent(samples.allRight)} / ${percent(samples.allWrong)}`],
    ["entropy, nats per token", samples.entropy.toFixed(3)],
    ["length", `${samples.meanLength.toFixed(1)} ± ${samples.stdLength.toFixed(1)} tokens`],
    ["length of right / wrong", `${digits(samples.rightLength)} / ${digits(samples.wrongLength)}`],
    ["cut off by the limit", percent(samples.truncated)],
  ];
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  const sentences = advice.map((sentence) => flagNames(sentence, TRAIN_FLAGS));
  return [
    ...rows.map(([label, text]) => label.padEnd(width) + text),
    dim(`${samples.prompts} training prompts, ${samples.numGenerations} samples each`),
    "",
    bold(VERDICTS[verdict]),
    ...sentences.flatMap((sentence) => {
      const [first, ...rest] = wrap(sentence, 96) as [string, ...string[]];
      return [`- ${first}`, ...rest.map((line) => `  ${line}`)];
    }),
  ];
}

function digits(value: number | undefined): string {
  return value === undefined ? "–" : value.toFixed(1);
}
