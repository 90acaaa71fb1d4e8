#!/bin/sh
# Tint (Dawn, npm webgpu 0.6.2) counts what a subgroup operation returns as different in every lane, even subgroupAny,
# subgroupAll and subgroupAdd, which give all lanes of a subgroup one value by definition. `if (subgroupAny(x)) { subgroupAdd(y) }`
# is refused ("must only be called from subgroup uniform control flow"); after `diagnostic(off, subgroup_uniformity);` it
# compiles. wgpu's compiler in Deno 2.9.6 takes it as it is. On SwiftShader (of @sparticuz/chromium 153.0.0).
# Needs x86-64 Linux, npm and curl.
# Seen: refused below each of five, compiled below subgroup_size and with the directive.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . webgpu@0.6.2
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
cat >look.mjs <<'JS'
import { create, globals } from "webgpu";
Object.assign(globalThis, globals);
const gpu = create([]);
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] });
async function compile(condition, directive = "") {
  device.pushErrorScope("validation");
  device.createShaderModule({
    code: `enable subgroups;
      ${directive}
      @group(0) @binding(0) var<storage, read_write> made: array<u32>;
      @compute @workgroup_size(8)
      fn main(@builtin(local_invocation_index) i: u32, @builtin(subgroup_size) size: u32) {
        if (${condition}) { made[i] = subgroupAdd(made[i]); }
      }`,
  });
  const error = await device.popErrorScope();
  const why = error?.message.match(/must only be called from subgroup uniform control flow/);
  console.log(`${condition}${directive && ", directive"}: ${error ? `refused, ${why}` : "compiled"}`);
}
await compile("size > 3u");
await compile("subgroupAny(i > 3u)");
await compile("subgroupAll(i > 3u)");
await compile("subgroupAdd(i) > 3u");
await compile("subgroupMax(i) > 3u");
await compile("subgroupBroadcastFirst(i) > 3u");
await compile("subgroupAny(i > 3u)", "diagnostic(off, subgroup_uniformity);");
process.exit();
JS
cat >expected <<'TEXT'
size > 3u: compiled
subgroupAny(i > 3u): refused, must only be called from subgroup uniform control flow
subgroupAll(i > 3u): refused, must only be called from subgroup uniform control flow
subgroupAdd(i) > 3u: refused, must only be called from subgroup uniform control flow
subgroupMax(i) > 3u: refused, must only be called from subgroup uniform control flow
subgroupBroadcastFirst(i) > 3u: refused, must only be called from subgroup uniform control flow
subgroupAny(i > 3u), directive: compiled
TEXT
VK_DRIVER_FILES=$work/vk_swiftshader_icd.json LD_LIBRARY_PATH=$work node look.mjs | tee seen
diff expected seen
