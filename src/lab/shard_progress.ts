/**
 * How far the shards of a comparison are: each says so in a file of its folder, and anyone may look.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { writeFileAtomic } from "../files/atomic_file.ts";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { readPlan } from "./comparison_folder.ts";
import { runSpecs } from "./comparison_plan.ts";
import { loadRun } from "./comparison_run.ts";

/** Milliseconds between two notes of a shard. */
const PAUSE = 2000;
const NOTES = "progress";

/** What a shard is doing. */
export interface ShardNote {
  /** Which it is, as `2/8`. */
  readonly shard: string;
  /** The run. */
  readonly run: string;
  /** Steps of it that are done. */
  readonly done: number;
  /** Steps in all. */
  readonly total: number;
  /** Mean reward of the last one. */
  readonly reward: number;
  /** When that was, milliseconds since 1970. */
  readonly at: number;
}

/** Keeps a shard's note, without writing at every step. */
export class ShardNotes {
  readonly #path: string;
  readonly #shard: string;
  #written = 0;

  /** Notes of the `index`-th of `count` shards in a folder. */
  constructor(dir: string, index: number, count: number) {
    this.#path = join(dir, NOTES, `${index}-of-${count}.json`);
    this.#shard = `${index}/${count}`;
  }

  /** Notes a step. */
  async step(note: Omit<ShardNote, "shard" | "at">): Promise<void> {
    const at = Date.now();
    if (at - this.#written < PAUSE) return;
    if (this.#written === 0) await Deno.mkdir(dirname(this.#path), { recursive: true });
    this.#written = at;
    const whole: ShardNote = { shard: this.#shard, ...note, at };
    await writeFileAtomic(this.#path, JSON.stringify(whole) + "\n");
  }

  /** Takes the note away: the shard has ended, or was stopped. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (await fileExists(this.#path)) await Deno.remove(this.#path);
  }
}

/** How far a comparison is over all folders of its shards. */
export interface ShardProgress {
  /** What it is called. */
  readonly title: string;
  /** Runs to make. */
  readonly total: number;
  /** Names of those that are finished, with their mean@N. */
  readonly finished: ReadonlyMap<string, number>;
  /** What shards are doing; one that was killed left its last note. */
  readonly notes: readonly ShardNote[];
}

/**
 * Looks into the folders of shards.
 *
 * @throws {Deno.errors.NotFound} If one is not of a comparison.
 */
export async function shardProgress(dirs: readonly string[]): Promise<ShardProgress> {
  const plans = await Promise.all(dirs.map(readPlan));
  const specs = runSpecs(plans[0]!.blocks);
  const finished = new Map<string, number>();
  const notes: ShardNote[] = [];
  for (const dir of dirs) {
    for (const spec of specs) {
      const record = finished.has(spec.id) ? undefined : await loadRun(dir, spec);
      if (record) finished.set(spec.id, record.evaluation.meanAtN);
    }
    const folder = join(dir, NOTES);
    if (!await fileExists(folder)) continue;
    for (const name of [...Deno.readDirSync(folder)].map(({ name }) => name).sort()) {
      if (!/^\d+-of-\d+\.json$/.test(name)) continue;
      try {
        notes.push(await readJsonObject(join(folder, name)) as unknown as ShardNote);
      } catch (error) {
        // The shard has ended since the folder was listed.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
  return { title: plans[0]!.title, total: specs.length, finished, notes };
}
