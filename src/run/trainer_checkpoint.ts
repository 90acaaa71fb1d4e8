/**
 * Checkpoints of a training run: a Hugging Face folder with what resuming needs beside it.
 *
 * `optimizer.safetensors` holds AdamW's moments under Hugging Face names, `reference.safetensors` the
 * weights of the reference policy where there is one, `trainer_state.json` the counters, the
 * settings, and the SHA-256 of every other file. Prompts and samples are pure functions of the seed
 * and these counters, so nothing else has to be stored. The folder is replaced as a whole: its name
 * stands for the old or the new checkpoint, whenever the process stops.
 */

import { join } from "../host/paths.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { PolicyConfig } from "../model/config.ts";
import { show } from "../model/config_checks.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import { listSome } from "../model/hf_weights.ts";
import { loadLoraWeights } from "../model/lora_folder.ts";
import type { Parameters } from "../model/parameters.ts";
import { shortStorage } from "../model/policy_storage.ts";
import type { Policy } from "../model/policy.ts";
import { encodeFloats } from "../files/float_formats.ts";
import { writeSafetensors } from "../files/safetensors.ts";
import { SafetensorsFile } from "../files/safetensors_file.ts";
import type { AdamW } from "../optim/adamw_optimizer.ts";
import type { Task } from "../task/task.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { fileSystem, replaceDirectoryAtomic } from "../files/atomic_directory.ts";
import { taskFingerprint } from "./fingerprint.ts";
import { numbersOf } from "./numbers.ts";
import {
  checkResumable,
  checkStorage,
  nextProblemOf,
  readTrainerState,
  type TrainerState,
  writeTrainerState,
} from "./trainer_state.ts";

export { readTrainerState, type TrainerState };

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
  readonly reference?: { readonly parameters: Parameters | undefined } | undefined;
  /** Steps done. */
  completedSteps: number;
  /** The first training problem not asked yet. */
  nextProblem: number;
  /** Whether policy and optimizer are as {@linkcode completedSteps} steps left them. Default: they are. */
  readonly isBetweenSteps?: boolean;
}

const OPTIMIZER = "optimizer.safetensors";
const REFERENCE = "reference.safetensors";
/**
 * Writes a checkpoint, in place of the one before.
 *
 * @param dir The folder; its parent has to exist.
 * @param trainer What to save.
 * @param retire What becomes of the checkpoint before; it is removed if this is not given.
 * @throws {RangeError} If a weight is not finite; the checkpoint before then stays.
 * @throws {Error} If the trainer is in the middle of a step, or goes on meanwhile; likewise.
 */
export async function saveTrainerCheckpoint(
  dir: string,
  trainer: Checkpointable,
  retire?: (old: string) => Promise<void>,
): Promise<void> {
  const { policy, optimizer, task } = trainer;
  const between = (begun?: string) => {
    const now = momentOf(trainer);
    if (now !== undefined && now === (begun ?? now)) return now;
    throw new Error(
      `${dir} would hold a part of a step, for training went on meanwhile or its last update failed: save between steps`,
    );
  };
  const begun = between();
  await replaceDirectoryAtomic(dir, async (temporary) => {
    await policy.save(temporary);
    for (const [file, tensors] of extraTensors(trainer)) {
      await saveFlat(join(temporary, file), policy, tensors);
    }
    await writeTrainerState(temporary, {
      completedSteps: trainer.completedSteps,
      nextProblem: trainer.nextProblem,
      optimizerSteps: optimizer.stepCount,
      task: { name: task.name, fingerprint: taskFingerprint(task) },
      options: trainer.options,
      ...shortStorage(policy.parameters),
      adapter: policy.gpu.adapter.description,
      numbers: await numbersOf(policy.gpu),
    });
    between(begun);
  }, retire ? { ...fileSystem, retire } : fileSystem);
}

/** How far a trainer is; `undefined` in the middle of a step. */
function momentOf(trainer: Checkpointable): string | undefined {
  const { completedSteps, optimizer, isBetweenSteps = true } = trainer;
  return isBetweenSteps ? `${completedSteps}/${optimizer.stepCount}` : undefined;
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
  if (reference?.parameters) {
    files.set(REFERENCE, new Map([["", reference.parameters.values]]));
  }
  return files;
}

async function saveFlat(path: string, policy: Policy, tensors: FlatTensors): Promise<void> {
  const specs = flatSpecs(policy, tensors);
  await writeSafetensors(
    path,
    [...specs].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    async (name) => {
      const { dtype, of, flat } = specs.get(name)!;
      // Values of 16 bits come as float32, and go back to what they were.
      return encodeFloats(await policy.trained.readOne(of, flat), dtype);
    },
  );
}

/** What a flat tensor's parts are, by name. */
interface FlatSpec {
  readonly dtype: "F32" | "BF16";
  readonly shape: readonly number[];
  /** Its parameter. */
  readonly of: string;
  /** What it is a part of. */
  readonly flat: Tensor;
}

function flatSpecs({ trained }: Policy, tensors: FlatTensors): Map<string, FlatSpec> {
  return new Map(
    [...tensors].flatMap(([prefix, tensor]) => {
      const dtype = tensor.dtype === "bf16" ? "BF16" : "F32";
      return trained.names.map((name) =>
        [prefix + name, {
          dtype,
          shape: trained.range(name).shape,
          of: name,
          flat: tensor,
        }] as const
      );
    }),
  );
}

/**
 * Puts a checkpoint back into a trainer, which then goes on bit by bit as the one that was saved.
 *
 * @param trainer Made for the same task with the same settings and a policy of the same shape and
 * dtype; its weights, moments and counters are replaced.
 * @throws {RangeError} Naming what differs: the task, a setting, the shape or dtype of the policy.
 * @throws {Error} If the checkpoint is damaged, see {@linkcode readTrainerState}.
 */
export async function restoreTrainer(dir: string, trainer: Checkpointable): Promise<TrainerState> {
  const state = await readTrainerState(dir);
  checkResumable(dir, state, trainer.task, trainer.options);
  checkStorage(dir, state, trainer.policy.parameters);
  const open: { close(): void }[] = [];
  try {
    await restoreWeights(dir, trainer, open);
  } finally {
    for (const file of open) file.close();
  }
  trainer.optimizer.stepCount = state.optimizerSteps;
  trainer.completedSteps = state.completedSteps;
  trainer.nextProblem = nextProblemOf(state);
  return state;
}

/** Puts back every weight and moment; what it opens is pushed to `open`. */
async function restoreWeights(
  dir: string,
  trainer: Checkpointable,
  open: { close(): void }[],
): Promise<void> {
  const { policy } = trainer;
  const { adapters } = policy.parameters;
  const checkpoint = adapters ? undefined : await loadCheckpoint(dir);
  if (checkpoint) open.push(checkpoint);
  if (checkpoint) checkShape(dir, checkpoint.config, policy.config);
  if (adapters) await loadLoraWeights(dir, adapters);
  const extra = [];
  for (const [name, tensors] of extraTensors(trainer)) {
    const file = await SafetensorsFile.open(join(dir, name));
    open.push(file);
    checkTensors(file, flatSpecs(policy, tensors));
    extra.push({ file, tensors });
  }
  for (const name of policy.trained.names) {
    if (checkpoint) policy.parameters.write(name, await checkpoint.readFloat32(name));
    for (const { file, tensors } of extra) {
      for (const [prefix, tensor] of tensors) {
        const values = await file.readFloat32(prefix + name);
        const reference = trainer.reference?.parameters;
        if (reference && tensor === reference.values) reference.write(name, values);
        else policy.trained.writeInto(tensor, name, values);
      }
    }
  }
}

function checkShape(dir: string, saved: PolicyConfig, given: PolicyConfig): void {
  const names = [
    ...new Set([...Object.keys(saved), ...Object.keys(given)]),
  ] as (keyof PolicyConfig)[];
  const differences = names
    .filter((name) => JSON.stringify(saved[name]) !== JSON.stringify(given[name]))
    .map((name) => `${name} is ${show(given[name])} and was ${show(saved[name])}`);
  if (differences.length > 0) {
    throw new RangeError(`${dir} is of a policy of another shape: ${differences.join("; ")}`);
  }
}

function checkTensors(file: SafetensorsFile, specs: ReadonlyMap<string, FlatSpec>): void {
  const missing = [...specs.keys()].filter((name) => !file.has(name));
  if (missing.length > 0) throw new RangeError(`${file.path}: ${listSome(missing, "missing")}`);
  for (const [name, { dtype, shape }] of specs) {
    const info = file.info(name);
    if (info.dtype !== dtype) {
      throw new RangeError(`${file.path}: ${name} is ${info.dtype} instead of ${dtype}`);
    }
    if (info.shape.join() !== shape.join()) {
      throw new RangeError(`${file.path}: ${name} is [${info.shape}] instead of [${shape}]`);
    }
  }
}
