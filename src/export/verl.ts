/**
 * Everything verl needs to go on with a run on many machines: model, prompts, reward, settings.
 *
 * @module
 */

import { join } from "node:path";
import countdownReward from "./countdown_reward.py" with { type: "text" };
import deltalVerl from "./deltal_verl.py" with { type: "text" };
import responseWeights from "./response_weights.py" with { type: "text" };
import { writeFileAtomic } from "../files/atomic_file.ts";
import { loadCheckpoint, saveCheckpoint } from "../model/hf_checkpoint.ts";
import { fileExists } from "../files/json_file.ts";
import { readTokenizerFiles, writeTokenizerFiles } from "../model/tokenizer_files.ts";
import type { DefinedTask } from "../task/define_task.ts";
import type { Task } from "../task/task.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { launchScript, readme } from "./verl_files.ts";
import { arePlainTexts, encodePrompts, takePrompts } from "./verl_prompts.ts";
import { verlSettings } from "./verl_settings.ts";

/** What to export. */
export interface VerlExport {
  /** Folder of the policy, a Hugging Face checkpoint with its tokenizer. */
  readonly model: string;
  /** The task; its prompts have to be texts or conversations. */
  readonly task: Task;
  /** Every setting of the run. */
  readonly options: ResolvedTrainOptions;
  /** Python source of the reward function `compute_score`; needed unless the task is the paper's CountDown. */
  readonly reward?: string | undefined;
  /** The most prompts to train on, where the task computes them. Default 32768, as in the paper. */
  readonly trainPrompts?: number | undefined;
  /** The most prompts to evaluate on. Default 1024, as in the paper. */
  readonly evalPrompts?: number | undefined;
}

/** Name of the task that comes with a reward function in Python. */
const COUNTDOWN = "countdown-text";

/**
 * Writes a folder from which verl continues: `run.sh` starts it.
 *
 * @param dir Folder to write; made where there is none.
 * @param what Policy, task and settings.
 * @returns What verl will do in another way, a sentence each; `README.md` of the folder says it too.
 * @throws {RangeError | TypeError} If verl has nothing for a setting, or the task or the policy cannot be exported; nothing
 * is written then.
 */
export async function exportVerl(dir: string, what: VerlExport): Promise<readonly string[]> {
  const { options, trainPrompts = 32768, evalPrompts = 1024 } = what;
  const task = await checkedTask(what);
  const reward = rewardOf(what);
  const { overrides, weights, limits } = verlSettings(options);
  const train = takePrompts(task, "train", trainPrompts, options.seed);
  const held = takePrompts(task, "eval", evalPrompts, options.seed);
  const plain = arePlainTexts([train, held]);

  const model = join(dir, "model");
  {
    using checkpoint = await loadCheckpoint(what.model);
    await saveCheckpoint(model, checkpoint.config, (name) => checkpoint.readFloat32(name));
  }
  await writeTokenizerFiles(model, await readTokenizerFiles(what.model));
  if (plain) await passTextsThrough(model, task);
  const files: Record<string, string | Uint8Array> = {
    "train.parquet": encodePrompts(task.name, train),
    "eval.parquet": encodePrompts(task.name, held),
    "reward.py": reward,
    "run.sh": launchScript({
      name: task.name,
      maxPromptLength: task.maxPromptLength,
      maxCompletionLength: options.maxCompletionLength,
      overrides,
      registers: weights !== undefined,
    }),
    "README.md": readme({ task: task.name, limits, plain, registers: weights !== undefined }),
  };
  if (weights) {
    files["deltal_verl.py"] = deltalVerl;
    files["response_weights.py"] = responseWeights;
    files["deltal_verl.json"] = JSON.stringify(weights, null, 2) + "\n";
  }
  for (const [name, content] of Object.entries(files)) {
    await writeFileAtomic(join(dir, name), content);
  }
  if (Deno.build.os !== "windows") await Deno.chmod(join(dir, "run.sh"), 0o755);
  return limits;
}

async function checkedTask({ model, task }: VerlExport): Promise<DefinedTask> {
  const { tokenizer } = task as Partial<DefinedTask>;
  if (tokenizer === undefined || !await fileExists(join(model, "tokenizer.json"))) {
    throw new TypeError(
      `verl needs a model with a tokenizer and prompts in words: ${task.name} is over symbols of its own`,
    );
  }
  return task as DefinedTask;
}

function rewardOf({ task, reward }: VerlExport): string {
  if (reward === undefined) {
    if (task.name === COUNTDOWN) return countdownReward;
    throw new TypeError(
      `The verifier of ${task.name} is not in Python: give its Python source, with a function compute_score`,
    );
  }
  if (!/^(async )?def compute_score\(/m.test(reward)) {
    throw new TypeError(
      "The reward function must define compute_score(data_source, solution_str, ground_truth, …)",
    );
  }
  return reward;
}

/**
 * Gives the exported tokenizer a chat template that leaves a text as it is, because verl makes every prompt a
 * conversation. The model's own template stays in `chat_template.original.jinja`, if it has one.
 */
async function passTextsThrough(model: string, { tokenizer }: DefinedTask): Promise<void> {
  const path = join(model, "tokenizer_config.json");
  const config = JSON.parse(await Deno.readTextFile(path).catch(ifMissing("{}")));
  const separate = join(model, "chat_template.jinja");
  const original = await Deno.readTextFile(separate).catch(ifMissing(undefined)) ??
    config.chat_template;
  if (typeof original === "string") {
    await writeFileAtomic(join(model, "chat_template.original.jinja"), original);
  }
  await Deno.remove(separate).catch(ifMissing(undefined));
  // What the tokenizer puts before a text, as Llama's does.
  const bare = tokenizer.encode("a");
  const whole = tokenizer.encode("a", { specialTokens: true });
  const prefix = tokenizer.decode(whole.slice(0, whole.length - bare.length), {
    specialTokens: true,
  });
  const template = `${prefix}{% for message in messages %}{{ message['content'] }}{% endfor %}`;
  await writeFileAtomic(
    path,
    JSON.stringify({ ...config, chat_template: template }, null, 2) + "\n",
  );
}

function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Deno.errors.NotFound) return value;
    throw error;
  };
}
