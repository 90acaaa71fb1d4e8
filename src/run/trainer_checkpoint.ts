/**
 * Checkpoints of a training run: a Hugging Face folder with what resuming needs beside it.
 *
 * `optimizer.safetensors` holds AdamW's moments under Hugging Face names, `reference.safetensors` the
 * weights of the reference policy where there is one, `trainer_state.json` the counters, the
 * settings, and the SHA-256 of every other file. Prompts and samples are pure
 * functions of (seed, step), so nothing else has to be stored. The folder is replaced as a whole:
 * its name stands for the old or the new checkpoint, whenever the process stops.
 */

import { join } from "node:path";
import type { Tensor } from "../gpu/tensor.ts";
import { parameterShapes, type PolicyConfig } from "../model/config.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import { listSome } from "../model/hf_weights.ts";
import { fileExists, readJsonObject } from "../model/json_file.ts";
import type { Parameters } from "../model/parameters.ts";
import type { Policy } from "../model/policy.ts";
import { SafetensorsFile, writeSafetensors } from "../model/safetensors.ts";
import type { AdamW } from "../optim/adamw_optimizer.ts";
import type { Task } from "../rl/task.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { replaceDirectoryAtomic, writeFileAtomic } from "./atomic.ts";
import { digestFile, taskFingerprint } from "./fingerprint.ts";
import { VERSION } from "./version.ts";

/** What a checkpoint is taken of and put back into; a `Trainer` is one. */
export interface Checkpointable {
  /** The policy being trained. */
  readonly policy: Policy;
  /** The task. */
  readonly task: Task;
  /** Every setting. */
  readonly options: ResolvedTrainOptions;
  /** AdamW and its moments. */
  readonly optimizer: AdamW;
  /** The frozen policy of the divergence term, if there is one. */
  readonly reference?: { readonly parameters: Parameters } | undefined;
  /** Steps done. */
  completedSteps: number;
}

/** The contents of `trainer_state.json`. */
export interface TrainerState {
  /** Steps done. */
  readonly completedSteps: number;
  /** Optimizer steps done. */
  readonly optimizerSteps: number;
  /** The task and what tells it from itself with other options. */
  readonly task: { readonly name: string; readonly fingerprint: string };
  /** Every setting of the run, its seed among them. */
  readonly options: ResolvedTrainOptions;
  /** SHA-256 of each other file of the folder, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** The adapter that computed it. */
  readonly adapter: string;
  /** The version of this package that wrote it. */
  readonly version: string;
}

/** Name of the file that makes a folder a trainer's checkpoint. */
export const TRAINER_STATE = "trainer_state.json";

const OPTIMIZER = "optimizer.safetensors";
const REFERENCE = "reference.safetensors";
const FORMAT = "deltal trainer checkpoint";
const FORMAT_VERSION = 1;

/**
 * Settings a resumed run may change: how it is measured, how much memory it takes, and how large
 * its steps are from here on. What is drawn and what is minimised stays.
 */
const FREE: ReadonlySet<string> = new Set<keyof ResolvedTrainOptions>([
  "maxSteps",
  "maxTokensPerMicroBatch",
  "evalSteps",
  "evalPrompts",
  "numGenerationsEval",
  "learningRate",
  "weightDecay",
  "maxGradNorm",
]);

/**
 * Writes a checkpoint, in place of the one before.
 *
 * @param dir The folder; its parent has to exist.
 * @param trainer What to save.
 * @throws {RangeError} If a weight is not finite; the checkpoint before then stays.
 */
export async function saveTrainerCheckpoint(dir: string, trainer: Checkpointable): Promise<void> {
  const { policy, optimizer, task } = trainer;
  await replaceDirectoryAtomic(dir, async (temporary) => {
    await policy.save(temporary);
    for (const [file, tensors] of extraTensors(trainer)) {
      await saveFlat(join(temporary, file), policy, tensors);
    }
    const files: Record<string, string> = {};
    const names = [...Deno.readDirSync(temporary)].map(({ name }) => name).sort();
    for (const name of names) files[name] = await digestFile(join(temporary, name));
    const state: TrainerState = {
      completedSteps: trainer.completedSteps,
      optimizerSteps: optimizer.stepCount,
      task: { name: task.name, fingerprint: taskFingerprint(task) },
      options: trainer.options,
      files,
      adapter: policy.gpu.adapter.description,
      version: VERSION,
    };
    const json = { format: FORMAT, formatVersion: FORMAT_VERSION, ...state };
    await writeFileAtomic(join(temporary, TRAINER_STATE), JSON.stringify(json, null, 2) + "\n");
  });
}

/** Tensors laid out like the parameters, by the prefix of their Hugging Face names. */
type FlatTensors = ReadonlyMap<string, Tensor>;

/** What is stored beside the weights, by file. */
function extraTensors({ optimizer, reference }: Checkpointable): Map<string, FlatTensors> {
  const files = new Map<string, FlatTensors>();
  files.set(
    OPTIMIZER,
    // PyTorch's names.
    new Map([["exp_avg.", optimizer.firstMoment], ["exp_avg_sq.", optimizer.secondMoment]]),
  );
  if (reference) files.set(REFERENCE, new Map([["", reference.parameters.values]]));
  return files;
}

async function saveFlat(path: string, policy: Policy, tensors: FlatTensors): Promise<void> {
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  for (const [prefix, tensor] of tensors) {
    for (const [name, array] of await policy.parameters.read(tensor)) {
      values.set(prefix + name, array);
    }
  }
  const specs = [...flatShapes(policy, tensors)]
    .map(([name, shape]) => ({ name, dtype: "F32" as const, shape }));
  await writeSafetensors(path, specs, (name) => values.get(name)!);
}

function flatShapes({ config }: Policy, tensors: FlatTensors): Map<string, readonly number[]> {
  return new Map(
    [...tensors.keys()].flatMap((prefix) =>
      parameterShapes(config).map(({ name, shape }) => [prefix + name, shape] as const)
    ),
  );
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
    throw new Deno.errors.NotFound(
      `${dir} has no ${TRAINER_STATE}: give the checkpoint folder of a training run`,
    );
  }
  const state = checkedState(path, await readJsonObject(path));
  for (const [name, expected] of Object.entries(state.files)) {
    if (!await fileExists(join(dir, name))) {
      throw new Deno.errors.NotFound(`${dir} is damaged: its ${name} is gone`);
    }
    if (await digestFile(join(dir, name)) !== expected) {
      throw new RangeError(
        `${dir} is damaged: ${name} is not the file that was saved (its SHA-256 differs)`,
      );
    }
  }
  return state;
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
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const hasTexts = (value: unknown, ...names: string[]) =>
    isObject(value) && names.every((name) => typeof value[name] === "string");
  need(isCount(json.completedSteps), "completedSteps", "a whole number");
  need(isCount(json.optimizerSteps), "optimizerSteps", "a whole number");
  need(hasTexts(json.task, "name", "fingerprint"), "task", "a name and a fingerprint");
  need(isObject(json.options), "options", "settings");
  need(
    hasTexts(json.files, "config.json", "model.safetensors", OPTIMIZER) &&
      Object.keys(json.files as object).every((name) => /^[\w.-]+$/.test(name)),
    "files",
    "a digest of each file",
  );
  need(typeof json.adapter === "string", "adapter", "a text");
  need(typeof json.version === "string", "version", "a text");
  // Settings are compared one by one with those of the run that resumes.
  return json as unknown as TrainerState;
}

/**
 * Puts a checkpoint back into a trainer, which then goes on bit by bit as the one that was saved.
 *
 * @param dir The folder.
 * @param trainer Made for the same task with the same settings and a policy of the same shape; its
 * weights, moments and counters are replaced.
 * @throws {RangeError} Naming what differs: the task, a setting or the shape of the policy.
 * @throws {Error} If the checkpoint is damaged, see {@linkcode readTrainerState}.
 */
export async function restoreTrainer(dir: string, trainer: Checkpointable): Promise<TrainerState> {
  const state = await readTrainerState(dir);
  checkResumable(dir, state, trainer.task, trainer.options);
  const { policy, optimizer } = trainer;
  using checkpoint = await loadCheckpoint(dir);
  checkShape(dir, checkpoint.config, policy.config);
  using open = new DisposableStack();
  const extra = [];
  for (const [name, tensors] of extraTensors(trainer)) {
    const file = open.use(await SafetensorsFile.open(join(dir, name)));
    checkTensors(file, flatShapes(policy, tensors));
    extra.push({ file, tensors });
  }
  for (const name of checkpoint.names) {
    policy.parameters.write(name, await checkpoint.readFloat32(name));
    for (const { file, tensors } of extra) {
      for (const [prefix, tensor] of tensors) {
        policy.parameters.writeInto(tensor, name, await file.readFloat32(prefix + name));
      }
    }
  }
  optimizer.stepCount = state.optimizerSteps;
  trainer.completedSteps = state.completedSteps;
  return state;
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

/** The settings that differ from those of a checkpoint, by name. */
export function changedOptions(
  state: TrainerState,
  options: ResolvedTrainOptions,
): Record<string, { from: unknown; to: unknown }> {
  const from: Record<string, unknown> = { ...state.options };
  const to: Record<string, unknown> = { ...options };
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  return Object.fromEntries(
    names.filter((name) => from[name] !== to[name])
      .map((name) => [name, { from: from[name], to: to[name] }]),
  );
}

function checkShape(dir: string, saved: PolicyConfig, given: PolicyConfig): void {
  const names = [
    ...new Set([...Object.keys(saved), ...Object.keys(given)]),
  ] as (keyof PolicyConfig)[];
  const differences = names
    .filter((name) => JSON.stringify(saved[name]) !== JSON.stringify(given[name]))
    .map((name) => `${name} is ${given[name]} and was ${saved[name]}`);
  if (differences.length > 0) {
    throw new RangeError(`${dir} is of a policy of another shape: ${differences.join("; ")}`);
  }
}

function checkTensors(
  file: SafetensorsFile,
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  const missing = [...shapes.keys()].filter((name) => !file.has(name));
  if (missing.length > 0) throw new RangeError(`${file.path}: ${listSome(missing, "missing")}`);
  for (const [name, shape] of shapes) {
    const info = file.info(name);
    if (info.shape.join() !== shape.join()) {
      throw new RangeError(`${file.path}: ${name} is [${info.shape}] instead of [${shape}]`);
    }
  }
}
