/** Runs that are killed at random moments and resumed until they are done, beside one that is left in peace. */

import { join } from "node:path";
import { readMetrics } from "../../src/run/metrics_log.ts";
import { type CommandResult, spawnAnnounced } from "./cli.ts";
import { TINY_STEPS } from "./tiny_run.ts";

/** Steps of a run, and steps between its checkpoints. */
const STEPS = 30;
const SAVE_STEPS = 2;

const TRAIN = [
  "train",
  ...TINY_STEPS,
  ...["--eval-prompts=4", "--num-generations-eval=2", "--no-report"],
  `--max-steps=${STEPS}`,
  `--save-steps=${SAVE_STEPS}`,
];

/** What a process tells after the first step. */
const TRAINING = /^train +\d/m;

/** Where a process was when it was killed, as far as its output tells. */
export type Moment = "starting" | "warm start" | "training" | "finishing";

/** What became of a number of kills. */
export interface Kills {
  /** Kills by where they hit. */
  readonly moments: Readonly<Record<Moment, number>>;
  /** Kills that left no checkpoint, so that the run was begun anew. */
  readonly begunAnew: number;
  /** Kills that left a checkpoint half replaced, which resuming put in order. */
  readonly recovered: number;
  /** Runs that went to their end and were compared. */
  readonly runs: number;
}

/** What a run leaves that does not depend on the clock, by file. */
async function resultsOf(run: string): Promise<Map<string, string>> {
  const results = new Map<string, string>();
  const hex = (bytes: Uint8Array) => bytes.toHex();
  const checkpoint = join(run, "checkpoint");
  for (const { name } of Deno.readDirSync(checkpoint)) {
    results.set(`checkpoint/${name}`, hex(await Deno.readFile(join(checkpoint, name))));
  }
  results.set("completions.jsonl", await Deno.readTextFile(join(run, "completions.jsonl")));
  const metrics = await readMetrics(join(run, "metrics.jsonl"));
  // A run that is resumed after its last step is evaluated again, in a line of its own.
  const steps = new Map<number, Record<string, unknown>>();
  for (const line of metrics) {
    const timeless = Object.entries(line).filter(([name]) => !/timing|per_s|perf/.test(name));
    const step = line["training/global_step"];
    steps.set(step, { ...steps.get(step), ...Object.fromEntries(timeless) });
  }
  results.set("metrics.jsonl", JSON.stringify([...steps]));
  return results;
}

/** Names of what differs between two runs. */
function differences(run: Map<string, string>, whole: Map<string, string>): string[] {
  const names = new Set([...run.keys(), ...whole.keys()]);
  return [...names].filter((name) => run.get(name) !== whole.get(name));
}

/** Names in a folder, sorted; none if it is not there. */
function namesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** Milliseconds of the steps of a run and of the checkpoints between them, about. */
async function trainingTime(run: string): Promise<number> {
  const metrics = await readMetrics(join(run, "metrics.jsonl"));
  const steps = metrics.reduce((sum, line) => sum + Number(line["timing_s/step"] ?? 0), 0);
  return 2 * 1000 * steps;
}

function momentOf(stderr: string): Moment {
  if (stderr.includes(`train ${STEPS}/${STEPS}`)) return "finishing";
  if (TRAINING.test(stderr)) return "training";
  return stderr.includes("warm start ") ? "warm start" : "starting";
}

/**
 * Kills runs with SIGKILL until it has happened so many times, resumes each until it is done, and compares it with an
 * undisturbed one.
 *
 * @param dir An empty folder.
 * @param kills How often.
 * @param random Numbers from 0 to 1.
 * @param inPeace Runs the command line in a folder to its end, where it is not to be killed.
 * @param say Where to tell how it goes.
 * @throws {Error} If a run cannot be resumed, hangs, or ends with other bytes.
 */
export async function killRuns(
  dir: string,
  kills: number,
  random: () => number,
  inPeace: (cwd: string, ...args: string[]) => Promise<CommandResult>,
  say: (text: string) => void = () => {},
): Promise<Kills> {
  const moments = { "starting": 0, "warm start": 0, "training": 0, "finishing": 0 };
  let [killed, begunAnew, recovered, runs] = [0, 0, 0, 0];

  const peace = join(dir, "peace");
  await Deno.mkdir(peace);
  const undisturbed = await inPeace(peace, ...TRAIN, "--out=runs/run");
  if (undisturbed.code !== 0) throw new Error(`the undisturbed run failed: ${undisturbed.stderr}`);
  const whole = await resultsOf(join(peace, "runs", "run"));
  const training = await trainingTime(join(peace, "runs", "run"));
  /** Milliseconds of a process before it trains, as the first of them shows. */
  let startup: number | undefined;

  while (killed < kills) {
    const cwd = join(dir, `${runs}`);
    const run = join(cwd, "runs", "run");
    await Deno.mkdir(cwd, { recursive: true });
    let resume = false;
    for (;;) {
      const args = resume
        ? ["train", "--resume=runs/run", "--no-report"]
        : [...TRAIN, "--out=runs/run"];
      const child = killed < kills ? spawnAnnounced(cwd, ...args) : undefined;
      // Half of them in what a run is for. A moment after the end spares a run, so that some come to it.
      const whileTraining = startup === undefined || random() < 0.5;
      const length = whileTraining ? training : startup! + training;
      const { code, stderr } = child
        ? await child.end(length * random(), whileTraining ? TRAINING : undefined)
        : await inPeace(cwd, ...args);
      startup ??= child?.toldAfter;
      if (code === 0) break;
      if (!child?.killed) {
        if (!resume || !stderr.includes("has no checkpoint yet")) {
          throw new Error(`kill ${killed}: ${args.join(" ")} failed: ${stderr}`);
        }
        await Deno.remove(run, { recursive: true });
        resume = false;
        begunAnew++;
        continue;
      }
      killed++;
      moments[momentOf(stderr)]++;
      const names = namesIn(run);
      if (names.some((name) => /\.(partial|ready|old)$/.test(name))) recovered++;
      say(`${killed}/${kills} killed while ${momentOf(stderr)}: ${names.join(" ")}`);
      // Without its config.json it is no run yet.
      resume = names.includes("config.json");
      if (!resume && names.length > 0) {
        await Deno.remove(run, { recursive: true });
        begunAnew++;
      }
    }
    const wrong = differences(await resultsOf(run), whole);
    if (wrong.length > 0) throw new Error(`after ${killed} kills: ${wrong.join(", ")} differ`);
    const left = namesIn(run).join(" ");
    if (left !== ".lock checkpoint completions.jsonl config.json metrics.jsonl") {
      throw new Error(`after ${killed} kills the run holds ${left}`);
    }
    runs++;
    await Deno.remove(cwd, { recursive: true });
  }
  return { moments, begunAnew, recovered, runs };
}
