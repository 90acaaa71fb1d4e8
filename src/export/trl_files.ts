/**
 * What TRL needs besides model, prompts and reward: settings, a script, explanations.
 *
 * @module
 */

import responseWeights from "./response_weights.py" with { type: "text" };
import trainer from "./trl_train.py" with { type: "text" };
import { type EngineFiles, type Handover, paddingLimits } from "./handover.ts";
import { trlSettings, yaml } from "./trl_settings.ts";

/**
 * The files of an export to TRL.
 *
 * @throws {RangeError} If TRL has nothing for a setting.
 */
export function trlFiles(handover: Handover): EngineFiles {
  const { task, options } = handover;
  const { config, weights, limits: ofSettings } = trlSettings(options);
  const limits = [...ofSettings, ...paddingLimits(handover)];
  return {
    limits,
    start: "train.py",
    files: {
      "train.py": trainer,
      "response_weights.py": responseWeights,
      "grpo.yaml": yaml(config),
      "deltal_trl.json": JSON.stringify({ task: task.name, ...weights }, null, 2) + "\n",
      "README.md": readme(task.name, weights.batch, limits),
    },
  };
}

function readme(task: string, batch: number, limits: readonly string[]): string {
  return [
    `# ${task} for TRL`,
    "",
    "Written for TRL 1.13 to 1.16 (`pip install trl peft`). On the GPUs of one machine, as many as `accelerate config` says:",
    "",
    "    accelerate launch train.py",
    "",
    "`accelerate launch` takes DeepSpeed and FSDP as for any script of TRL's (`--use_deepspeed --zero_stage 2`, " +
    "`--config_file fsdp.yaml`), and `train.py` every flag of GRPOConfig, in place of what `grpo.yaml` says: `--use_vllm true " +
    "--vllm_mode colocate`, `--per_device_train_batch_size 8`, `--resume_from_checkpoint checkpoints/checkpoint-20`. " +
    `However many processes there are, a rollout is of ${batch} responses. Without a GPU (accelerate's \`--cpu\` starts one ` +
    "process, whatever `--num_processes` says): `accelerate launch --multi_gpu --num_processes 2 train.py --use_cpu true " +
    "--bf16 false`.",
    "",
    "| file | what |",
    "|---|---|",
    "| `model/` | weights in float32, configuration and tokenizer in Hugging Face format |",
    "| `train.parquet`, `eval.parquet` | `prompt`; the other columns of a row are JSON in `ground_truth` |",
    "| `reward.py` | `compute_score`, or `reward_funcs`, a list of functions as TRL takes them, with `reward_weights` if they count differently |",
    "| `train.py` | the trainer: GRPOTrainer with the advantages and weights of `response_weights.py` |",
    "| `grpo.yaml`, `deltal_trl.json` | the settings of the run: TRL's, and what TRL has not |",
    "",
    "What will not be as it was:",
    "",
    "- AdamW begins with moments of zero, the learning-rate schedule and the order of the prompts from the start.",
    "- On a GPU TRL computes in bfloat16 unless `--bf16 false` is given; the same seed gives other samples.",
    "- Reward functions see the completion without special tokens.",
    ...limits.map((limit) => `- ${limit}`),
    "",
  ].join("\n");
}
