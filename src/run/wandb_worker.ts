/**
 * Sends metrics to Weights & Biases through `@wandb/sdk`, in a worker.
 *
 * The package (0.5.1) throws where nobody can catch it when its server is away, and ends the process
 * at Ctrl-C. Here both end this worker and not the training.
 *
 * @module
 */

import process from "node:process";
import type { WandbMessage, WandbReply } from "./wandb_run.ts";

/** What is used of the package. */
interface Sdk {
  init(options: Record<string, unknown>): Promise<{ url(): string }>;
  log(data: Record<string, unknown>, step?: number): void;
  finish(code?: number): Promise<void>;
}

/** The global scope of a worker, which the types of a window lack. */
const scope = self as unknown as {
  onmessage: ((event: MessageEvent<WandbMessage>) => void) | null;
  postMessage(reply: WandbReply): void;
};

let sdk: Sdk | undefined;

async function load(): Promise<Sdk> {
  // Not a literal, so that nothing is fetched for those who do not use it.
  const name = "@wandb/sdk";
  try {
    return (await import(name)).default as Sdk;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Error(`the package ${name} is not installed: deno add npm:${name}@0.5.1 (${reason})`);
  }
}

async function answer(message: WandbMessage): Promise<WandbReply | undefined> {
  if (message.kind === "begin") {
    sdk = await load();
    const run = await sdk.init({ ...message.run, settings: { silent: true } });
    // Ctrl-C finishes the step first; the training says when this ends.
    for (const event of ["SIGINT", "SIGTERM", "beforeExit"]) process.removeAllListeners(event);
    return { kind: "began", url: run.url() };
  }
  if (message.kind === "log") return void sdk?.log({ ...message.metrics }, message.step);
  await sdk?.finish(message.code);
  return { kind: "finished" };
}

scope.onmessage = ({ data }) => {
  answer(data).then((reply) => reply && scope.postMessage(reply), (error) => {
    scope.postMessage({
      kind: "failed",
      reason: error instanceof Error ? error.message : String(error),
    });
  });
};
