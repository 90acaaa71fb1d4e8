/**
 * Runs {@linkcode runEverything} in Node, or in Deno with its own WebGPU, and prints what came out as the last line:
 *
 *     node portable_node.js [FOLDER]
 *
 * With a folder to write in, files are tried as well: a policy saved and loaded, a metrics log, a checkpoint.
 *
 * @module
 */

import process from "node:process";
import { runEverything } from "./portable.js";

const [folder] = process.argv.slice(2);
// From the folder that this was copied to, where the packages are installed.
const library = await import("@deltal/deltal");
const engine = await import("@deltal/deltal/engine");

let webgpu;
if (!globalThis.Deno) {
  const dawn = await import("webgpu");
  Object.assign(globalThis, dawn.globals);
  webgpu = dawn.create([]);
}
const options = webgpu ? { webgpu } : {};
const { adapter, results, gpu, policy } = await runEverything(library, engine, options);

if (folder) {
  const { MetricsLog, Policy, Trainer, readMetrics, saveTrainerCheckpoint, restoreTrainer } =
    library;
  await policy.save(`${folder}/policy`);
  const loaded = await Policy.load(gpu, `${folder}/policy`);
  const [before, after] = [await policy.parameters.read(), await loaded.parameters.read()];
  results.saved = [...before].every(([name, values]) =>
    values.every((value, i) => Object.is(value, after.get(name)[i]))
  );
  const missing = await Policy.load(gpu, `${folder}/nowhere`).catch((error) => error);
  results.missing = missing.name;

  const task = library.parity({ minBits: 3, maxBits: 5 });
  const settings = { maxSteps: 2, learningRate: 1e-2, promptsPerStep: 2, numGenerations: 4 };
  const trainer = await Trainer.create(loaded, task, settings);
  await trainer.next();
  await saveTrainerCheckpoint(`${folder}/checkpoint`, trainer);
  const { metrics } = await trainer.next();
  await restoreTrainer(`${folder}/checkpoint`, trainer);
  const again = await trainer.next();
  results.resumed = again.metrics["actor/pg_loss"] === metrics["actor/pg_loss"];

  const log = MetricsLog.open(`${folder}/metrics.jsonl`);
  log.append({ "training/global_step": 1, "reward/mean": NaN });
  log.amend({ "training/global_step": 1, "eval/mean": 1 });
  log.close();
  const [line] = await readMetrics(`${folder}/metrics.jsonl`);
  results.logged = Number.isNaN(line["reward/mean"]) && line["eval/mean"] === 1;
  trainer.destroy();
  loaded.destroy();
}
policy.destroy();
await gpu.close();
console.log(JSON.stringify({ adapter, results }));
// Dawn's threads keep Node from ending.
process.exit(0);
