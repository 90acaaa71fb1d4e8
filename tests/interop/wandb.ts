/** Sends metrics through the real `@wandb/sdk` to a stand-in for its server, and looks at what arrives. */

import { assertEquals } from "@std/assert";
import { WandbRun } from "../../src/run/wandb_run.ts";

/** What the stand-in was sent: path and body. */
const received: { path: string; body: Record<string, unknown> }[] = [];

async function serve(request: Request): Promise<Response> {
  const { pathname: path } = new URL(request.url);
  const body = await request.json();
  received.push({ path, body });
  if (path !== "/graphql") return Response.json({});
  const { operationName, variables } = body;
  if (operationName === "Viewer") return Response.json({ data: { viewer: { entity: "me" } } });
  const bucket = { name: variables.name, displayName: variables.displayName };
  return Response.json({ data: { upsertBucket: { bucket } } });
}

await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, serve);
Deno.env.set("WANDB_BASE_URL", `http://127.0.0.1:${server.addr.port}`);
Deno.env.set("WANDB_API_KEY", "0".repeat(40));

const failures: string[] = [];
const description = { project: "deltal", name: "parity-1", config: { seed: 42 } };
const run = await WandbRun.begin(description, (reason) => failures.push(reason));
run.append({ "training/global_step": 0, "eval/parity/mean@8": 0.5 });
run.append({ "training/global_step": 1, "reward/mean": 0.25, "actor/grad_norm": NaN });
run.append({ "training/global_step": 2, "reward/mean": 0.5 });
await run.finish(0);

const upsert = received.find(({ body }) => body.operationName === "UpsertBucket")!.body
  .variables as Record<string, string>;
assertEquals([upsert.project, upsert.displayName], ["deltal", "parity-1"]);
assertEquals(JSON.parse(upsert.config!), { seed: 42 });
type Stream = {
  files?: Record<string, { content: string[] }>;
  complete?: boolean;
  exitcode?: number;
};
const streams = received.filter(({ path }) => path.endsWith("/file_stream"))
  .map(({ body }) => body as Stream);
const lines = streams.flatMap(({ files }) => files?.["wandb-history.jsonl"]?.content ?? [])
  .map((line) => JSON.parse(line))
  .map(({ _runtime, _timestamp, ...line }) => line);
assertEquals(lines, [
  { "training/global_step": 0, _step: 0, "eval/parity/mean@8": 0.5 },
  { "training/global_step": 1, _step: 1, "reward/mean": 0.25, "actor/grad_norm": "NaN" },
  { "training/global_step": 2, _step: 2, "reward/mean": 0.5 },
]);
assertEquals([streams.at(-1)!.complete, streams.at(-1)!.exitcode, failures], [true, 0, []]);
console.log(`@wandb/sdk sent ${lines.length} lines and the end of run ${run.url}`);
