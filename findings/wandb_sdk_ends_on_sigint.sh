#!/bin/sh
# @wandb/sdk 0.5.1 (npm): after wandb.init() a SIGINT ends the process by process.exit() with status 0, although the program has a
# handler of its own that is still at work, such as a trainer that saves its checkpoint. Without wandb.init() the handler finishes.
# The status 0 also tells the caller that all went well. Against a stand-in for the server on this machine. Needs npm.
# Seen: without init "saved" and status 3, with init nothing saved and status 0.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . @wandb/sdk@0.5.1
cat >look.mjs <<'JS'
import { createServer } from "node:http";
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => body += part);
  request.on("end", () => {
    const { operationName, variables } = body ? JSON.parse(body) : {};
    const data = operationName === "Viewer"
      ? { viewer: { entity: "me" } }
      : operationName && { upsertBucket: { bucket: { name: variables.name, displayName: variables.name } } };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(data ? { data } : {}));
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
process.env.WANDB_BASE_URL = `http://127.0.0.1:${server.address().port}`;
process.env.WANDB_API_KEY = "0".repeat(40);
process.on("SIGINT", () => {
  console.log("saving");
  setTimeout(() => {
    console.log("saved");
    process.exit(3);
  }, 3000);
});
if (process.argv[2] === "init") {
  const { wandb } = await import("@wandb/sdk");
  await wandb.init({ project: "example" });
}
process.kill(process.pid, "SIGINT");
JS
cat >expected <<'TEXT'
without init: saving saved status 3
with init: saving status 0
TEXT
try() {
  status=0
  node look.mjs "$2" >log 2>errors || status=$?
  echo "$1: $(grep -x 'saving\|saved' log | tr '\n' ' ')status $status"
}
{
  try "without init" none
  try "with init" init
} | tee seen
diff expected seen
