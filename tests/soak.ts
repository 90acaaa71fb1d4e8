/**
 * `deno task soak`: kills training runs at random moments and checks that each resumes to the same bytes as an
 * undisturbed one. The test suite does it a few times; this does it as often as asked.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { runCommand } from "./helpers/cli.ts";
import { killRuns } from "./helpers/killed_runs.ts";
import { uniformStream } from "./helpers/random.ts";
import { inTempDir } from "./helpers/temp_dir.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  console.log(`Kills tiny training runs with SIGKILL at random moments and resumes them.

Usage: deno task soak [--kills 50] [--seed 1]`);
} else {
  await inTempDir(async (dir) => {
    const start = performance.now();
    const random = uniformStream(Number(values.seed));
    const say = (text: string) => console.log(text);
    const kills = await killRuns(dir, Number(values.kills), random, runCommand, say);
    const seconds = Math.round((performance.now() - start) / 1000);
    console.log({ ...kills, seconds });
    console.log(`${kills.runs} runs ended with the bytes of the undisturbed one`);
  });
}
