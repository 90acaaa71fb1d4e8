/**
 * `compare --watch`: one live page of all shards of a comparison, wherever their folders are filled.
 *
 * @module
 */

import { type ShardProgress, shardProgress } from "../lab/shard_progress.ts";
import type { LiveFeed } from "../run/live_feed.ts";
import { LiveServer } from "../run/live_server.ts";
import { duration } from "./style.ts";

/** Milliseconds between two looks into the folders. */
const PAUSE = 1000;

/**
 * Serves the page until every run is finished.
 *
 * @param dirs Folders of the shards.
 * @param port The page's; 0 for any that is free.
 * @param signal Ends it before.
 * @throws {Deno.errors.NotFound} If a folder is not of a comparison.
 */
export async function watchShards(
  dirs: readonly string[],
  port: number,
  signal?: AbortSignal,
): Promise<void> {
  let progress = await shardProgress(dirs);
  await using server = LiveServer.start(port);
  console.log(`live page: ${server.url}`);
  tell(server.feed, progress);
  while (progress.finished.size < progress.total && !signal?.aborted) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    progress = await shardProgress(dirs);
    tell(server.feed, progress);
  }
  server.feed.end(`${progress.finished.size} of ${progress.total} runs are finished`);
}

/** What the page says. */
function tell(feed: LiveFeed, { title, total, finished, notes }: ShardProgress): void {
  const now = Date.now();
  feed.describe({
    title: `compare ${title}`,
    facts: [
      ...notes.map(({ shard, run, done, total, reward, at }) => {
        const silent = (now - at) / 1000;
        return [
          `shard ${shard}`,
          `${run}, step ${done} of ${total}, reward ${reward.toFixed(3)}` +
          (silent > 30 ? `, nothing for ${duration(silent)}` : ""),
        ] as const;
      }),
      ...[...finished].map(([run, mean]) => [run, `mean@8 ${mean.toFixed(3)}`] as const),
    ],
  });
  feed.progress({ label: "runs", done: finished.size, total, text: `${notes.length} shards` });
}
