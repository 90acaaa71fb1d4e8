#!/bin/sh
# Deno 2.9.6: `deno publish --dry-run` succeeds for a package that imports a text file (`with { type: "text" }`, as for WGSL)
# which publish.include leaves out. For an excluded TypeScript module it fails with excluded-module. A package whose shaders
# are missing from what is published looks right until somebody imports it, so the list of files needs a test of its own.
# Needs npm.
# Seen: exit status 0 without the text file in the list, 1 and excluded-module with the module.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix tools deno@2.9.6
mkdir -p package/kernels && cd package
cat >deno.json <<'JSON'
{
  "name": "@example/kernels",
  "version": "1.0.0",
  "license": "MIT",
  "exports": "./mod.ts",
  "publish": { "include": ["deno.json", "mod.ts"] }
}
JSON
echo '@compute @workgroup_size(1) fn main() {}' >kernels/add.wgsl
echo '/** A shader. */ export const add: string = "";' >kernels/add.ts
try() {
  printf '/** Shaders. */\nexport { %s;\n' "$2" >mod.ts
  status=0
  NO_COLOR=1 ../tools/node_modules/.bin/deno publish --dry-run --allow-dirty >../log 2>&1 || status=$?
  echo "$1: status $status, excluded-module named: $(grep -c 'excluded-module\]' ../log)," \
    "kernels in the list: $(grep -c 'kernels/add.*B)' ../log)"
}
cat >../expected <<'TEXT'
text import: status 0, excluded-module named: 0, kernels in the list: 0
module: status 1, excluded-module named: 1, kernels in the list: 0
TEXT
{
  try "text import" 'default as add } from "./kernels/add.wgsl" with { type: "text" }'
  try "module" 'add } from "./kernels/add.ts"'
} | tee ../seen
diff ../expected ../seen
