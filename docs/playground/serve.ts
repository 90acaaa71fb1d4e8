/**
 * Builds the page and serves it to this machine alone: `deno task playground [--port 8001]`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { buildPlayground } from "./build.ts";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

const { values } = parseArgs({
  args: Deno.args,
  options: { port: { type: "string", default: "8001" } },
});
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`--port is ${values.port}: give a whole number from 0 to 65535`);
  Deno.exit(2);
}
const files = await buildPlayground();
Deno.serve({
  hostname: "127.0.0.1",
  port,
  onListen: (address) => console.log(`http://127.0.0.1:${address.port}/`),
}, (request) => {
  const name = new URL(request.url).pathname.slice(1) || "index.html";
  const body = files.get(name);
  if (body === undefined) return new Response("There is no such file", { status: 404 });
  const headers = { "content-type": TYPES[name.split(".").at(-1)!]!, "cache-control": "no-store" };
  return new Response(body, { headers });
});
