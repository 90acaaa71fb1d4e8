/**
 * The state of a training run as its checkpoint records it, and whether a run may go on from it.
 */

import { errors, fs } from "../host/host.ts";
import { join } from "../host/paths.ts";
import { fileExists, isJsonObject, readJsonObject } from "../files/json_file.ts";
import { storageOf, type Stored } from "../model/policy_storage.ts";
import { STORED_DTYPES, type StoredDType } from "../model/policy_weights.ts";
import type { Task } from "../task/task.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import { digestFile, taskFingerprint } from "./fingerprint.ts";
import { VERSION } from "./version.ts";

/** The contents of `trainer_state.json`. */
export interface TrainerState {
  /** Steps done. */
  readonly completedSteps: number;
  /** The first training problem not asked yet; older checkpoints do not say it, see {@linkcode nextProblemOf}. */
  readonly nextProblem?: number;
  /** Optimizer steps done. */
  readonly optimizerSteps: number;
  /** The task and what tells it from itself with other options. */
  readonly task: { readonly name: string; readonly fingerprint: string };
  /** Every setting of the run, its seed among them. */
  readonly options: ResolvedTrainOptions;
  /** SHA-256 of each other file of the folder, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** How the policy's matrices are stored on the device; float32 where it is not said. */
  readonly dtype?: StoredDType;
  /** How keys and values are cached; as the matrices are stored where it is not said. */
  readonly cacheDtype?: StoredDType;
  /** The adapter that computed it. */
  readonly adapter: string;
  /** Fingerprint of that device's numbers, see `numbersOf`; not said by versions before 0.1.0. */
  readonly numbers?: string;
  /** The version of this package that wrote it. */
  readonly version: string;
}

/** Name of the file that makes a folder a trainer's checkpoint. */
export const TRAINER_STATE = "trainer_state.json";

const FORMAT = "deltal trainer checkpoint";
const FORMAT_VERSION = 1;

/**
 * Settings a resumed run may change: how it is measured, how much memory it takes, and how large
 * its steps are from here on. What is drawn and what is minimised stays.
 */
const FREE: ReadonlySet<string> = new Set<keyof ResolvedTrainOptions>([
  "maxSteps",
  "maxTokensPerMicroBatch",
  "activationDtype",
  "activationCheckpointing",
  "evalSteps",
  "evalPrompts",
  "numGenerationsEval",
  "learningRate",
  "weightDecay",
  "maxGradNorm",
]);

/** Writes `trainer_state.json` of a checkpoint whose other files are all there. */
export async function writeTrainerState(
  dir: string,
  state: Omit<TrainerState, "files" | "version">,
): Promise<void> {
  const files: Record<string, string> = {};
  const names = [...fs.readDirSync(dir)].map(({ name }) => name).sort();
  for (const name of names) files[name] = await digestFile(join(dir, name));
  const json = { format: FORMAT, formatVersion: FORMAT_VERSION, ...state, files, version: VERSION };
  await writeFileAtomic(join(dir, TRAINER_STATE), JSON.stringify(json, null, 2) + "\n");
}

/**
 * Reads the state of a checkpoint and checks that every file of it is whole.
 *
 * @throws {Deno.errors.NotFound} If the folder is no trainer's checkpoint, or a file of it is gone.
 * @throws {SyntaxError | TypeError | RangeError} Naming the file that is damaged or of another
 * version.
 */
export async function readTrainerState(dir: string): Promise<TrainerState> {
  const path = join(dir, TRAINER_STATE);
  if (!await fileExists(path)) {
    throw new errors.NotFound(
      `${dir} has no ${TRAINER_STATE}: give the checkpoint folder of a training run`,
    );
  }
  const state = checkedState(path, await readJsonObject(path));
  for (const [name, expected] of Object.entries(state.files)) {
    if (!await fileExists(join(dir, name))) {
      throw new errors.NotFound(`${dir} is damaged: its ${name} is gone`);
    }
    if (await digestFile(join(dir, name)) !== expected) {
      throw new RangeError(
        `${dir} is damaged: ${name} is not the file that was saved (its SHA-256 differs)`,
      );
    }
  }
  return state;
}

/**
 * What the state of the checkpoint in a folder says; no other file is looked at.
 *
 * @returns `undefined` if the folder is none.
 */
export async function glanceAtState(dir: string): Promise<TrainerState | undefined> {
  const path = join(dir, TRAINER_STATE);
  if (!await fileExists(path)) return undefined;
  return checkedState(path, await readJsonObject(path));
}

/**
 * Steps that the checkpoint in a folder has done, as its state says; nothing else is read.
 *
 * @returns `undefined` if the folder is none.
 */
export async function completedStepsOf(dir: string): Promise<number | undefined> {
  return (await glanceAtState(dir))?.completedSteps;
}

function checkedState(path: string, json: Record<string, unknown>): TrainerState {
  const need = (ok: boolean, field: string, what: string) => {
    if (!ok) {
      throw new TypeError(
        `${path} is damaged: ${field} is ${JSON.stringify(json[field])}, not ${what}`,
      );
    }
  };
  need(json.format === FORMAT, "format", JSON.stringify(FORMAT));
  if (json.formatVersion !== FORMAT_VERSION) {
    throw new RangeError(
      `${path} has formatVersion ${JSON.stringify(json.formatVersion)} and this version of ` +
        `deltal (${VERSION}) reads ${FORMAT_VERSION}: resume it with deltal ${json.version}`,
    );
  }
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const hasTexts = (value: unknown, ...names: string[]) =>
    isJsonObject(value) && names.every((name) => typeof value[name] === "string");
  need(isCount(json.completedSteps), "completedSteps", "a whole number");
  need(
    json.nextProblem === undefined || isCount(json.nextProblem),
    "nextProblem",
    "a whole number",
  );
  need(isCount(json.optimizerSteps), "optimizerSteps", "a whole number");
  need(hasTexts(json.task, "name", "fingerprint"), "task", "a name and a fingerprint");
  need(isJsonObject(json.options), "options", "settings");
  need(
    hasTexts(json.files, "optimizer.safetensors") &&
      // A whole model, or adapters of one that lies elsewhere.
      (hasTexts(json.files, "config.json", "model.safetensors") ||
        hasTexts(json.files, "adapter_config.json", "adapter_model.safetensors")) &&
      Object.keys(json.files as object).every((name) => /^[\w.-]+$/.test(name)),
    "files",
    "a digest of each file",
  );
  for (const name of ["dtype", "cacheDtype"]) {
    const dtype = json[name];
    need(
      dtype === undefined || STORED_DTYPES.includes(dtype as StoredDType),
      name,
      `one of ${STORED_DTYPES.join(", ")}`,
    );
  }
  need(typeof json.adapter === "string", "adapter", "a text");
  need(json.numbers === undefined || typeof json.numbers === "string", "numbers", "a text");
  need(typeof json.version === "string", "version", "a text");
  // Settings are compared one by one with those of the run that resumes.
  return json as unknown as TrainerState;
}

/**
 * The first training problem that a run has not asked. Where the checkpoint does not say it, every step had room for
 * `maxGenBatches` rollouts, whether it needed them or not.
 */
export function nextProblemOf({ nextProblem, completedSteps, options }: TrainerState): number {
  const { promptsPerStep, dynamicSampling, maxGenBatches } = options;
  return nextProblem ?? completedSteps * promptsPerStep * (dynamicSampling ? maxGenBatches : 1);
}

/**
 * Refuses to resume a checkpoint of another task or with other settings.
 *
 * @throws {RangeError} Naming every difference.
 */
export function checkResumable(
  dir: string,
  state: TrainerState,
  task: Task,
  options: ResolvedTrainOptions,
): void {
  if (state.task.name !== task.name) {
    throw new RangeError(
      `${dir} is a checkpoint of the task ${state.task.name}, not of ${task.name}`,
    );
  }
  if (state.task.fingerprint !== taskFingerprint(task)) {
    throw new RangeError(
      `${dir} is a checkpoint of the task ${task.name} with other options or of another version ` +
        `(deltal ${state.version}, this is ${VERSION}): its problems are not the same`,
    );
  }
  const differences = Object.entries(changedOptions(state, options))
    // The cosine ends at maxSteps, so there maxSteps would change the steps already done.
    .filter(([name]) =>
      !FREE.has(name) || (name === "maxSteps" && options.lrScheduler !== "constant")
    )
    .map(([name, { from, to }]) => `${name} is ${to} and was ${from}`);
  if (differences.length > 0) {
    throw new RangeError(
      `${dir} cannot be resumed with other settings: ${differences.join("; ")}. Leave them as ` +
        "they were, or begin a new run from its weights",
    );
  }
}

/**
 * Refuses to resume a checkpoint with matrices or a cache stored in another way, which would change what is sampled.
 *
 * @throws {RangeError} If one is not the checkpoint's.
 */
export function checkStorage(dir: string, state: TrainerState, storage: Stored): void {
  const saved = storageOf(state);
  for (const name of ["dtype", "cacheDtype"] as const) {
    if (storage[name] === saved[name]) continue;
    throw new RangeError(
      `${dir} cannot be resumed with other settings: ${name} is ${storage[name]} and was ${
        saved[name]
      }. Leave it as it was, or begin a new run from its weights`,
    );
  }
}

/** The settings that differ from those of a checkpoint, by name. */
export function changedOptions(
  state: TrainerState,
  options: ResolvedTrainOptions,
): Record<string, { from: unknown; to: unknown }> {
  const from: Record<string, unknown> = { ...state.options };
  const to: Record<string, unknown> = { ...options };
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  return Object.fromEntries(
    names.filter((name) => JSON.stringify(from[name]) !== JSON.stringify(to[name]))
      .map((name) => [name, { from: from[name], to: to[name] }]),
  );
}
