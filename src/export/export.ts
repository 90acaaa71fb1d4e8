/**
 * Everything another engine needs to go on with a run on many processes: model, prompts, reward, settings.
 *
 * @module
 */

import { join } from "node:path";
import countdownReward from "./countdown_reward.py" with { type: "text" };
import { writeFileAtomic } from "../files/atomic_file.ts";
import type { PolicyConfig } from "../model/config.ts";
import { loadCheckpoint, saveCheckpoint } from "../model/hf_checkpoint.ts";
import { fileExists } from "../files/json_file.ts";
import { readTokenizerFiles, writeTokenizerFiles } from "../model/tokenizer_files.ts";
import type { DefinedTask } from "../task/define_task.ts";
import { eosTokenIdsOf, type Task } from "../task/task.ts";
import { mayWritePadding } from "../rl/fit.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import type { Engine } from "./engine_weights.ts";
import type { EngineFiles, Handover } from "./handover.ts";
import { arePlainTexts, encodePrompts, takePrompts } from "./prompts.ts";
import { symbolTokenizerFiles } from "./symbol_tokenizer.ts";
import { trlFiles } from "./trl_files.ts";
import { verlFiles } from "./verl_files.ts";

/** What to export. */
export interface RunExport {
  /** Folder of the policy, a Hugging Face checkpoint with its tokenizer; without one the task's symbols become one. */
  readonly model: string;
  /** The task; its prompts have to be texts or conversations, or symbols of its own. */
  readonly task: Task;
  /** Every setting of the run. */
  readonly options: ResolvedTrainOptions;
  /**
   * Python source of the reward function `compute_score(data_source, solution_str, ground_truth, …)`, for TRL also of a list
   * `reward_funcs`; needed unless the task is the paper's CountDown.
   */
  readonly reward?: string | undefined;
  /** The most prompts to train on, where the task computes them. Default 32768, as in the paper. */
  readonly trainPrompts?: number | undefined;
  /** The most prompts to evaluate on. Default 1024, as in the paper. */
  readonly evalPrompts?: number | undefined;
}

const ENGINES: Readonly<Record<Engine, (handover: Handover) => EngineFiles>> = {
  trl: trlFiles,
  verl: verlFiles,
};

/** Name of the task that comes with a reward function in Python. */
const COUNTDOWN = "countdown-text";

/**
 * Writes a folder from which an engine continues.
 *
 * @param dir Folder to write; made where there is none.
 * @param engine `"trl"` or `"verl"`.
 * @param what Policy, task and settings.
 * @returns The file that starts it, and what the engine will do in another way, a sentence each; `README.md` of the folder
 * says it too.
 * @throws {RangeError | TypeError} If the engine has nothing for a setting, or the task or the policy cannot be exported;
 * nothing is written then.
 */
export async function exportRun(
  dir: string,
  engine: Engine,
  what: RunExport,
): Promise<{ start: string; limits: readonly string[] }> {
  const { task, options, trainPrompts = 32768, evalPrompts = 1024 } = what;
  const inSymbols = !await fileExists(join(what.model, "tokenizer.json"));
  if (engine === "verl" && inSymbols && task.vocabulary.slice(2).some((s) => [...s].length > 1)) {
    throw new TypeError(
      `${task.name} has symbols of several characters, which verl takes apart with the tokenizer of the model's family: ` +
        "export to trl",
    );
  }
  const reward = rewardOf(engine, what);
  const train = takePrompts(task, "train", trainPrompts, options.seed, inSymbols);
  const held = takePrompts(task, "eval", evalPrompts, options.seed, inSymbols);
  const plain = arePlainTexts([train, held]);
  using checkpoint = await loadCheckpoint(what.model);
  const config = inSymbols ? ending(checkpoint.config, task) : checkpoint.config;
  const { suppressedTokenId } = config;
  const writesPadding = mayWritePadding(config, task);
  const handover = { task, options, plain, suppressedTokenId, writesPadding };
  const { files, start, limits } = ENGINES[engine](handover);

  const model = join(dir, "model");
  await saveCheckpoint(model, config, (name) => checkpoint.readFloat32(name));
  const tokenizer = inSymbols ? symbolTokenizerFiles(task) : await readTokenizerFiles(what.model);
  await writeTokenizerFiles(model, tokenizer);
  // verl makes every prompt a conversation.
  if (engine === "verl" && plain) await passTextsThrough(model, task as Partial<DefinedTask>);
  const contents = {
    ...files,
    "train.parquet": encodePrompts(engine, task.name, train),
    "eval.parquet": encodePrompts(engine, task.name, held),
    "reward.py": reward,
  };
  for (const [name, content] of Object.entries(contents)) {
    await writeFileAtomic(join(dir, name), content);
  }
  if (start.endsWith(".sh") && Deno.build.os !== "windows") {
    await Deno.chmod(join(dir, start), 0o755);
  }
  return { start, limits };
}

/** A configuration that says what ends a response, as the tokenizer made of the task's symbols does. */
function ending(config: PolicyConfig, task: Task): PolicyConfig {
  const ends = eosTokenIdsOf(task);
  return { ...config, eosTokenId: config.eosTokenId ?? (ends.length === 1 ? ends[0]! : ends) };
}

function rewardOf(engine: Engine, { task, reward }: RunExport): string {
  if (reward === undefined) {
    if (task.name === COUNTDOWN) return countdownReward;
    throw new TypeError(
      `The verifier of ${task.name} is not in Python: give its Python source, with a function compute_score`,
    );
  }
  const functions = engine === "trl" && /^reward_funcs\s*=/m.test(reward);
  if (!functions && !/^(async )?def compute_score\(/m.test(reward)) {
    throw new TypeError(
      "The reward function must define compute_score(data_source, solution_str, ground_truth, …)" +
        (engine === "trl" ? ", or the file a list reward_funcs of TRL's functions" : ""),
    );
  }
  return reward;
}

/**
 * Gives the exported tokenizer a chat template that leaves a text as it is. The model's own template stays in `chat_template.original.jinja`, if it has one.
 */
async function passTextsThrough(model: string, { tokenizer }: Partial<DefinedTask>): Promise<void> {
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
  const ids = (specialTokens: boolean) => tokenizer?.encode("a", { specialTokens }) ?? [];
  const whole = ids(true);
  const begin = whole.slice(0, whole.length - ids(false).length);
  const prefix = tokenizer?.decode(begin, { specialTokens: true }) ?? "";
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
