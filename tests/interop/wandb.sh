#!/bin/sh
# --report-to wandb through the real package from npm, to a stand-in for the server on this machine.
# Outside CI; needs deno and the network for the package.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
sed 's|"imports": {|"imports": { "@wandb/sdk": "npm:@wandb/sdk@0.5.1",|; s|"links": .*||' "$root/deno.json" |
  sed "s|jsr:@std/assert@^1.0.0|$root/tests/std_assert/mod.ts|" >"$temp/deno.json"
deno run --quiet --no-check --no-lock --allow-all --config "$temp/deno.json" "$root/tests/interop/wandb.ts"
