/**
 * `export`: hands a run over to TRL or verl, for more devices than one.
 *
 * @module
 */

import { join } from "node:path";
import { fileExists } from "../files/json_file.ts";
import { resolveTrainOptions } from "../rl/resolve_options.ts";
import { refuseExisting } from "../run/run_directory.ts";
import { readTrainerState, TRAINER_STATE } from "../run/trainer_state.ts";
import {
  choiceFlag,
  type FlagValues,
  namingFlags,
  numberFlag,
  switchFlag,
  textFlag,
  UsageError,
} from "./args.ts";
import { CHECKPOINT_FLAG, findCheckpoint } from "./checkpoint.ts";
import { DATASET_FLAGS } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { type Command, command } from "./command.ts";
import { lineWidth, wrap } from "./style.ts";
import { OPTION_FLAGS } from "./train_flags.ts";
import { RUNS } from "./runs.ts";

const EXPORT_FLAGS = {
  to: choiceFlag(["trl", "verl"], "The engine that goes on.", "trl"),
  checkpoint: CHECKPOINT_FLAG,
  task: taskFlag("What it is trained on.", "the checkpoint's"),
  data: DATASET_FLAGS.data,
  out: textFlag("dir", "Folder to write.", `${RUNS}/trl or ${RUNS}/verl`),
  reward: textFlag(
    "file.py",
    "Python source of compute_score, the reward function; for TRL, or of reward_funcs.",
    "the paper's, for countdown-text",
  ),
  trainPrompts: numberFlag(
    { min: 1, max: 1e7, integer: true },
    "Prompts to train on; a list has at most its own.",
    32768,
  ),
  heldPrompts: numberFlag({ min: 1, max: 1e6, integer: true }, "Prompts to evaluate on.", 1024),
  verbose: switchFlag("Print where in the code an error arose."),
};

const FLAGS = { ...EXPORT_FLAGS, ...OPTION_FLAGS };

/** `export`. */
export const EXPORT: Command = command({
  name: "export",
  brief: "Hand a run over to TRL or verl, for more devices than one",
  about:
    "Writes what TRL with accelerate, or verl on Ray, needs to go on with a run on many GPUs: the model, its prompts as " +
    "parquet, the reward function, and what starts it with the run's settings in that engine's words, ΔL's weights included. " +
    "What the engine does in another way is said, and what it cannot do is refused.",
  sections: [
    { title: "Flags", flags: EXPORT_FLAGS },
    { title: "Settings, where they shall not be the run's", flags: OPTION_FLAGS },
  ],
  examples: [
    ["deno task export runs/countdown-text-1", "go on with a run in TRL"],
    ["deno task export runs/parity-1 --reward parity.py", "on symbols of its own"],
    [
      "deno task export models/Qwen2.5-3B --to verl --task countdown-text",
      "begin with a model",
    ],
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const { to = "trl", out = join(RUNS, to), data, reward, trainPrompts, heldPrompts } = values;
  await refuseExisting(out, "give another with --out");
  const { dir, task } = await findCheckpoint(values.checkpoint, { task: values.task, data });
  const state = await fileExists(join(dir, TRAINER_STATE))
    ? await readTrainerState(dir)
    : undefined;
  if (state?.options.objective) {
    throw new UsageError(
      `the run has rules of its own, ${state.options.objective.name}, which ${to} does not know: register them there`,
    );
  }
  const given = Object.fromEntries(
    Object.entries(values).filter(([name]) => Object.hasOwn(OPTION_FLAGS, name)),
  );
  return await namingFlags(FLAGS, async () => {
    const options = resolveTrainOptions(
      { ...task.defaults.rl, ...state?.options, ...given },
      task.maxCompletionLength,
    );
    // Not a literal, so that the parquet library is fetched when something is exported and not before.
    const module = new URL("../export/export.ts", import.meta.url).href;
    const { exportRun } = await import(module) as typeof import("../export/export.ts");
    const { start, limits } = await exportRun(out, to, {
      model: dir,
      task,
      options,
      reward: reward === undefined ? undefined : await Deno.readTextFile(reward),
      trainPrompts,
      evalPrompts: heldPrompts,
    });
    console.log(`written to ${out}: ${start} starts ${to}, README.md says what is where`);
    for (const limit of limits) console.log(wrap(`- ${limit}`, lineWidth()).join("\n"));
    return 0;
  });
}
