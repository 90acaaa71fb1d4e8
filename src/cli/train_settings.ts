/**
 * What a training command is to do: from flags, or from flags and the run that is resumed.
 *
 * @module
 */

import { join } from "node:path";
import type { KernelChoices } from "../gpu/kernel.ts";
import type { Task } from "../task/task.ts";
import { resolveTrainOptions } from "../rl/resolve_options.ts";
import type { ResolvedTrainOptions, TrainOptions } from "../rl/train_options.ts";
import { recoverCheckpoint } from "../run/run_checkpoints.ts";
import {
  checkpointOf,
  latestRun,
  readRunConfig,
  refuseExisting,
  type RunConfig,
} from "../run/run_directory.ts";
import { RunLock } from "../run/run_lock.ts";
import {
  checkResumable,
  checkStorage,
  readTrainerState,
  TRAINER_STATE,
  type TrainerState,
} from "../run/trainer_state.ts";
import { checkedKernels } from "../run/tuned_kernels.ts";
import { type FlagValues, namingFlags, refuseBeside, UsageError } from "./args.ts";
import { weightsIn } from "./checkpoint.ts";
import { type KeptCheckpoints, keptCheckpoints } from "./checkpoint_flags.ts";
import { HOW_FLAGS, isFile, namesOf } from "./dataset_flags.ts";
import { checkFolder, makeFolder } from "./folders.ts";
import { findTask, isModule } from "./find_task.ts";
import { type DeviceChoice, deviceOfRun } from "./gpu.ts";
import { type PolicySource, policySource } from "./policy_source.ts";
import { RUNS } from "./runs.ts";
import { recordTaskFiles, type TaskFiles, taskNamesOf } from "./task_files.ts";
import { recordedTrackers, type TrackerName } from "./trackers.ts";
import type { OwnObjective } from "../objective/own_objective.ts";
import { loadObjective, objectiveOf } from "./own_objective.ts";
import { OPTION_FLAGS, SIZE_FLAGS, TRAIN_FLAGS, WARM_START_FLAGS } from "./train_flags.ts";
import { storageOf, type Stored } from "../model/policy_storage.ts";

/** What every training command has. */
interface CommonSettings {
  /** The task. */
  readonly task: Task;
  /** Every setting of the trainer. */
  readonly options: ResolvedTrainOptions;
  /** Bytes of memory to keep to; `undefined` for what there is. */
  readonly memoryBudget: number | undefined;
  /** Names of the options that were given. */
  readonly fixed: readonly string[];
  /** How the policy is stored. */
  readonly storage: Stored;
  /** What it computes on. */
  readonly device: DeviceChoice;
  /** The files that the task is made of. */
  readonly taskFiles: TaskFiles;
  /** The checkpoints kept. */
  readonly checkpoints: KeptCheckpoints;
  /** Completions kept of each step. */
  readonly logCompletions: number;
  /** Where metrics are shown beside the run's own files. */
  readonly reportTo: readonly TrackerName[];
}

/** A new run. */
export interface NewRun extends CommonSettings {
  /** Tells the kinds apart. */
  readonly kind: "new";
  /** Where the policy comes from. */
  readonly source: PolicySource;
  /** Folder of the run; `undefined` for the next free one. */
  readonly out: string | undefined;
  /** Removes the folder at the end of its use if it was made and nothing was put into it. */
  readonly folder: AsyncDisposable | undefined;
}

/** A run that goes on. */
export interface ResumedRun extends CommonSettings {
  /** Tells the kinds apart. */
  readonly kind: "resumed";
  /** Folder of the run. */
  readonly dir: string;
  /** Folder of its checkpoint. */
  readonly checkpoint: string;
  /** The right to write there. */
  readonly lock: RunLock;
  /** The kernels it was begun with, where they are not the built-in choices. */
  readonly kernels: KernelChoices;
  /** Its config.json as it was. */
  readonly config: RunConfig;
  /** State of its checkpoint. */
  readonly state: TrainerState;
}

/** What a training command is to do. */
export type TrainSettings = NewRun | ResumedRun;

const LOG_COMPLETIONS = TRAIN_FLAGS.logCompletions.default as number;

type Values = FlagValues<typeof TRAIN_FLAGS>;

/**
 * Decides what to do.
 *
 * @throws {UsageError} For settings that are out of range or do not go together.
 * @throws {Error} If the run to resume is not there, damaged, or was made with other settings.
 */
export async function trainSettings(values: Values): Promise<TrainSettings> {
  const { resume } = values;
  return resume === undefined ? await newRun(values) : await resumedRun(values, resume);
}

/** Those flags that are settings of the library; the module of the objective is loaded apart. */
function givenOptions({ objective: _, ...values }: Values): Partial<TrainOptions> {
  return Object.fromEntries(
    Object.entries(values).filter(([name]) => Object.hasOwn(OPTION_FLAGS, name)),
  );
}

function resolve(
  base: TrainOptions,
  values: Values,
  task: Task,
  objective: OwnObjective | undefined,
): ResolvedTrainOptions {
  const given = { ...givenOptions(values), ...(objective ? { objective } : {}) };
  const { maxCompletionLength } = task;
  return namingFlags(
    TRAIN_FLAGS,
    () => resolveTrainOptions({ ...base, ...given }, maxCompletionLength, Object.keys(given)),
  );
}

async function newRun(given: Values): Promise<NewRun> {
  // The folder of a run stands for its checkpoint.
  const values = given.policy === undefined
    ? given
    : { ...given, policy: await weightsIn(given.policy) };
  const task = await findTask(namesOf(values), values.policy);
  const objective = values.objective && await loadObjective(values.objective) || undefined;
  const options = resolve(task.defaults.rl, values, task, objective);
  const source = await policySource(values, task, options);
  // A folder that cannot be used should not be found out after the warm start.
  if (values.out !== undefined) await refuseExisting(values.out);
  const folder = values.out === undefined ? undefined : await makeFolder(values.out);
  return {
    kind: "new",
    task,
    options,
    memoryBudget: values.memoryBudget,
    fixed: Object.keys(givenOptions(values)),
    storage: storageOf(values),
    device: deviceOfRun(values),
    source,
    out: values.out,
    folder,
    taskFiles: await recordTaskFiles(namesOf(values)),
    checkpoints: keptCheckpoints(values, task, options),
    logCompletions: values.logCompletions ?? LOG_COMPLETIONS,
    reportTo: values.reportTo ?? [],
  };
}

async function resumedRun(values: Values, which: string): Promise<ResumedRun> {
  refuseBeside(
    values,
    {
      out: TRAIN_FLAGS.out,
      policy: TRAIN_FLAGS.policy,
      ...SIZE_FLAGS,
      ...WARM_START_FLAGS,
      ...HOW_FLAGS,
    },
    "--resume",
    "the run keeps its own",
  );
  const byName = values.task && isModule(values.task) ? undefined : values.task;
  const dir = which === "latest" ? await latestRun(RUNS, byName) : which;
  if (dir === undefined) {
    const what = values.task === undefined ? "" : ` of ${values.task}`;
    throw new Error(`there is no run${what} with a checkpoint below ${RUNS}: begin one first`);
  }
  await checkFolder(dir);
  const config = await readRunConfig(dir);
  const kernels = checkedKernels(config.kernels ?? {}, join(dir, "config.json"));
  using held = new DisposableStack();
  const lock = held.use(RunLock.take(dir));
  const checkpoint = checkpointOf(dir);
  const kept = values.keepCheckpoints ?? Number(config.keepCheckpoints ?? 1);
  if (!await recoverCheckpoint(dir, kept)) {
    throw new Error(`${dir} has no checkpoint yet: begin the run anew with another --out`);
  }
  const saved = await readTrainerState(checkpoint);
  if (saved.task.name !== config.task) {
    throw new Error(
      `${dir} is damaged: its config.json is of the task ${config.task}, its checkpoint of ` +
        saved.task.name,
    );
  }
  const objective = await objectiveOf(values.objective, saved.options.objective, dir);
  const state = objective && saved.options.objective
    ? {
      ...saved,
      options: { ...saved.options, objective: { ...objective, ...saved.options.objective } },
    }
    : saved;
  const known = await taskNamesOf(namesOf(values), config, dir);
  const names = { ...known, task: known.task ?? (isFile(known) ? undefined : state.task.name) };
  const task = await findTask(names, checkpoint);
  try {
    resolveTrainOptions(state.options, task.maxCompletionLength);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${checkpoint}/${TRAINER_STATE} is damaged: ${message}`, { cause: error });
  }
  const options = resolve(state.options, values, task, objective);
  const storage = storageOf({ ...state, ...values });
  namingFlags(TRAIN_FLAGS, () => {
    checkResumable(checkpoint, state, task, options);
    checkStorage(checkpoint, state, storage);
  });
  if (options.maxSteps < state.completedSteps) {
    throw new UsageError(
      `--max-steps is ${options.maxSteps} and ${dir} has done ${state.completedSteps} steps: give at ` +
        "least as many",
    );
  }
  const checkpoints = keptCheckpoints(values, task, options, config);
  const { logCompletions = config.logCompletions } = values;
  held.move();
  return {
    kind: "resumed",
    task,
    options,
    memoryBudget: values.memoryBudget,
    // Less free memory than at the start is no reason for other bits.
    fixed: values.memoryBudget === undefined
      ? Object.keys(options)
      : Object.keys(givenOptions(values)),
    storage,
    device: deviceOfRun(values, config.device),
    dir,
    lock,
    checkpoint,
    kernels,
    config,
    state,
    taskFiles: await recordTaskFiles(names),
    checkpoints,
    logCompletions: typeof logCompletions === "number" ? logCompletions : LOG_COMPLETIONS,
    reportTo: values.reportTo ?? recordedTrackers(config),
  };
}
