/**
 * What verl needs besides model, prompts and reward: settings, a launch script, explanations.
 *
 * @module
 */

import deltalVerl from "./deltal_verl.py" with { type: "text" };
import responseWeights from "./response_weights.py" with { type: "text" };
import { type EngineFiles, type Handover, paddingLimits } from "./handover.ts";
import { verlSettings } from "./verl_settings.ts";

/**
 * The files of an export to verl.
 *
 * @throws {RangeError} If verl has nothing for a setting.
 */
export function verlFiles(handover: Handover): EngineFiles {
  const { task, options, plain, suppressedTokenId } = handover;
  const { overrides, weights, limits: ofSettings } = verlSettings(options);
  const limits = [...ofSettings, ...paddingLimits(handover)];
  if (suppressedTokenId !== undefined) {
    limits.push(
      `Token ${suppressedTokenId}, which this policy never writes, has a probability there.`,
    );
  }
  const registers = weights !== undefined;
  return {
    limits,
    start: "run.sh",
    files: {
      "run.sh": launchScript({
        name: task.name,
        maxPromptLength: task.maxPromptLength,
        maxCompletionLength: options.maxCompletionLength,
        overrides,
        registers,
      }),
      "README.md": readme({ task: task.name, limits, plain, registers }),
      ...(registers && {
        "deltal_verl.py": deltalVerl,
        "response_weights.py": responseWeights,
        "deltal_verl.json": JSON.stringify(weights, null, 2) + "\n",
      }),
    },
  };
}

/** What the launch script has to say. */
interface LaunchScript {
  /** Name of the task. */
  readonly name: string;
  /** The most tokens of a prompt. */
  readonly maxPromptLength: number;
  /** The most tokens of a response. */
  readonly maxCompletionLength: number;
  /** Overrides of verl's configuration. */
  readonly overrides: ReadonlyMap<string, string>;
  /** Whether `deltal_verl.py` is used. */
  readonly registers: boolean;
}

/** Tokens per GPU and pass, unless one sequence is longer. */
const TOKENS_PER_GPU = 16384;

/** The shell script that starts verl in the folder it lies in. */
function launchScript(
  { name, maxPromptLength, maxCompletionLength, overrides, registers }: LaunchScript,
): string {
  const longest = maxPromptLength + maxCompletionLength;
  const places = new Map([
    ["data.train_files", '"$HERE/train.parquet"'],
    ["data.val_files", '"$HERE/eval.parquet"'],
    ["data.max_prompt_length", String(maxPromptLength)],
    ["actor_rollout_ref.model.path", '"$HERE/model"'],
    [
      "actor_rollout_ref.actor.ppo_max_token_len_per_gpu",
      String(Math.max(TOKENS_PER_GPU, longest)),
    ],
    ["actor_rollout_ref.rollout.tensor_model_parallel_size", '"${TENSOR_PARALLEL:-1}"'],
    ["reward.custom_reward_function.path", '"$HERE/reward.py"'],
    ["reward.custom_reward_function.name", "compute_score"],
    ["trainer.nnodes", '"${NODES:-1}"'],
    ["trainer.n_gpus_per_node", '"${GPUS:-8}"'],
    ["trainer.logger", "'[console,file]'"],
    ["trainer.project_name", "deltal"],
    ["trainer.experiment_name", name],
    ["trainer.default_local_dir", '"$HERE/checkpoints"'],
    ["trainer.save_freq", '"${SAVE_STEPS:-20}"'],
  ]);
  const environment = "+ray_kwargs.ray_init.runtime_env.env_vars";
  places.set(`${environment}.VERL_FILE_LOGGER_PATH`, '"$HERE/metrics.jsonl"');
  if (registers) {
    places.set(`${environment}.PYTHONPATH`, '"$PYTHONPATH"');
    places.set(`${environment}.VERL_USE_EXTERNAL_MODULES`, "deltal_verl");
  }
  const quoted = [...overrides].map(([key, value]) =>
    [key, /^[\w.+-]+$/.test(value) ? value : `'${value}'`] as const
  );
  return [
    "#!/usr/bin/env bash",
    `# Continues ${name} with verl on Ray. GPUS, NODES, TENSOR_PARALLEL and SAVE_STEPS may be set outside; further`,
    "# overrides of verl's configuration may follow as arguments.",
    "set -euo pipefail",
    'HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"',
    ...(registers
      ? [
        "# verl imports deltal_verl.py, which registers the advantages and the weights of the responses.",
        'export PYTHONPATH="$HERE${PYTHONPATH:+:$PYTHONPATH}"',
        "export VERL_USE_EXTERNAL_MODULES=deltal_verl",
      ]
      : []),
    "",
    "python3 -m verl.trainer.main_ppo \\",
    ...[...quoted, ...places].map(([key, value]) => `  ${key}=${value} \\`),
    '  "$@"',
    "",
  ].join("\n");
}

/** What the explanations depend on. */
interface Readme {
  /** Name of the task. */
  readonly task: string;
  /** What the settings lose. */
  readonly limits: readonly string[];
  /** Whether prompts are texts. */
  readonly plain: boolean;
  /** Whether `deltal_verl.py` is used. */
  readonly registers: boolean;
}

/** What is in the folder, how to start it, and what will not be as it was. */
function readme({ task, limits, plain, registers }: Readme): string {
  return [
    `# ${task} for verl`,
    "",
    "Written for verl 0.9 (its v1 trainer) with vLLM. With verl installed, on a machine with 8 GPUs:",
    "",
    "    ./run.sh",
    "",
    "Fewer or more: `GPUS=2 NODES=1 ./run.sh`. The batch has to be divisible by the number of GPUs.",
    "",
    "| file | what |",
    "|---|---|",
    "| `model/` | weights in float32, configuration and tokenizer in Hugging Face format |",
    "| `train.parquet`, `eval.parquet` | prompts; the other columns of a row are JSON in `reward_model.ground_truth` |",
    "| `reward.py` | `compute_score`, the reward |",
    "| `run.sh` | the settings of the run in verl's words; its metrics go to `metrics.jsonl`, which `deno task report` reads |",
    ...(registers
      ? [
        "| `deltal_verl.py`, `response_weights.py`, `deltal_verl.json` | advantages and weights that verl lacks, registered " +
        "as the advantage estimator `deltal` |",
      ]
      : []),
    "",
    "What will not be as it was:",
    "",
    "- AdamW begins with moments of zero, the learning-rate schedule and the order of the prompts from the start.",
    "- verl computes in bfloat16 and samples with another engine than it learns with: the same seed gives other samples, and " +
    "the ratio of the first update is near 1, not 1.",
    "- vLLM has to support the shape of the model; it wants heads of 64 or more.",
    ...(plain
      ? [
        "- The tokenizer's chat template passes texts through unchanged, because verl makes every prompt a conversation. The " +
        "model's own, if it had one, is `model/chat_template.original.jinja`: put it back to serve the model.",
      ]
      : []),
    ...limits.map((limit) => `- ${limit}`),
    "",
  ].join("\n");
}
