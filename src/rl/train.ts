/**
 * Training as a loop over steps.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { Policy } from "../model/policy.ts";
import type { Evaluation } from "./evaluation.ts";
import { evaluationMetrics } from "./evaluation_metrics.ts";
import type { DryPolicy } from "./memory.ts";
import { fitMemory } from "./memory_budget.ts";
import type { Task } from "../task/task.ts";
import type { TrainOptions } from "./train_options.ts";
import type { StepReport } from "./step_report.ts";
import { settingOf } from "./settings.ts";
import { Trainer } from "./trainer.ts";

/** What to train, on what, and how. */
export interface TrainRequest extends TrainOptions {
  /** The policy; its weights are changed. */
  readonly policy: Policy;
  /** The task. */
  readonly task: Task;
  /**
   * Bytes of the device's memory that the run may take, the policy's included. Of settings that are not given
   * `maxTokensPerMicroBatch` is made smaller, then `activationCheckpointing` turned on; neither changes the result beyond
   * rounding. Refused where that does not suffice. Default: any.
   */
  readonly memoryBudget?: number | undefined;
  /**
   * Ends training, at the latest before the next step; its reason is thrown. An evaluation that it cuts short is missing
   * from the step's report, which comes first.
   */
  readonly signal?: AbortSignal | undefined;
}

/** A trainer to go on with; it is not destroyed at the end. */
export interface ContinueRequest extends Pick<TrainRequest, "signal"> {
  /** The trainer, new or restored from a checkpoint. */
  readonly trainer: Trainer;
}

/** What one step did, and what an evaluation after it found. */
export interface TrainReport extends StepReport {
  /**
   * Present every `evalSteps` steps and after the last one, if `evalSteps` is not 0; its figures are among the metrics
   * too, as `eval/…`.
   */
  readonly evaluation?: Evaluation;
}

/**
 * Trains a policy on a task with a verifiable reward, one step for every turn of the loop.
 *
 * Nothing happens before the first turn, and leaving the loop ends training: between two turns the policy is as the last
 * step left it and can be saved, sampled from or evaluated. To keep AdamW's moments as well, make a
 * {@linkcode Trainer}, hand it over as `trainer` and save it with {@linkcode saveTrainerCheckpoint}.
 *
 * @param request Policy, task and settings; see {@linkcode TrainOptions} for defaults.
 * @returns One report per step, with figures by verl's names.
 * @throws {RangeError} If a setting is out of range or does not fit the policy or the task.
 * @throws {TypeError} If there is no such setting, or one is given beside a trainer, which has its own.
 * @throws {Error} If the verifier fails on a completion, naming it, or a loss or gradient is not finite; the policy is
 * then as the last good optimizer step left it.
 *
 * @example
 * ```ts
 * import { defineTask, openGpu, Policy, symbolTokenizer, train } from "@deltal/deltal";
 * import { assert } from "@std/assert";
 *
 * const task = defineTask({
 *   name: "all-ones",
 *   tokenizer: symbolTokenizer("01"),
 *   prompts: ["0", "1"],
 *   verify: ({ completion }) => completion === "11",
 *   maxCompletionLength: 4,
 * });
 * const gpu = await openGpu();
 * const policy = Policy.create(gpu, { vocabSize: 4, padTokenId: 0, hiddenSize: 16, numHiddenLayers: 1 });
 * const rewards: number[] = [];
 * for await (const { metrics } of train({ policy, task, maxSteps: 15, learningRate: 0.005 })) {
 *   rewards.push(metrics["reward/mean"]!);
 * }
 * assert(rewards.at(-1)! > rewards[0]! + 0.3);
 * policy.destroy();
 * await gpu.close();
 * ```
 */
export async function* train(
  request: TrainRequest | ContinueRequest,
): AsyncGenerator<TrainReport, void, undefined> {
  if ("trainer" in request) {
    checkNames("train() with a trainer", request, ["trainer", "signal"]);
    return yield* steps(request.trainer, request.signal);
  }
  const { policy, task, signal, memoryBudget, ...given } = request;
  for (const name of Object.keys(given)) settingOf(name);
  signal?.throwIfAborted();
  const options = memoryBudget === undefined
    ? given
    : (await fitMemory(policy.gpu, likeness(policy), task, given, { memoryBudget })).options;
  const trainer = await Trainer.create(policy, task, options);
  try {
    yield* steps(trainer, signal);
  } finally {
    trainer.destroy();
  }
}

/** Makes a policy of the same shape. */
function likeness({ config, parameters }: Policy): DryPolicy {
  const { adapters, dtype, cacheDtype, trainable } = parameters;
  return (dry) => {
    const policy = Policy.zeros(dry, config, { dtype, cacheDtype, trainable });
    if (adapters) policy.addAdapters(adapters.options);
    return policy;
  };
}

async function* steps(
  trainer: Trainer,
  signal: AbortSignal | undefined,
): AsyncGenerator<TrainReport, void, undefined> {
  const { maxSteps, evalSteps } = trainer.options;
  while (trainer.completedSteps < maxSteps) {
    const report = await trainer.next({ signal });
    const due = evalSteps > 0 && (report.step % evalSteps === 0 || report.step === maxSteps);
    if (!due) {
      yield report;
      continue;
    }
    let evaluation: Evaluation;
    try {
      evaluation = await trainer.evaluate({ signal });
    } catch (error) {
      // The step has taken place all the same.
      yield report;
      throw error;
    }
    const metrics = { ...report.metrics, ...evaluationMetrics(trainer.task, evaluation) };
    yield { ...report, metrics, evaluation };
  }
}
