#!/bin/sh
# `enable subgroups;`: wgpu's compiler in Deno 2.9.6 refuses the line and takes subgroupAdd without it; Tint (Dawn, npm webgpu
# 0.6.2) refuses subgroupAdd without the line. No text of a kernel that uses subgroups compiles in both: the line has to be added by
# whoever makes the module. Both devices have the feature "subgroups". On SwiftShader (of @sparticuz/chromium 153.0.0).
# Needs x86-64 Linux, npm and curl.
# Seen: Deno takes the text without the line only, Dawn with it only.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6 webgpu@0.6.2
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
cat >look.mjs <<'JS'
const { create, globals } = globalThis.Deno ? {} : await import("webgpu");
const gpu = create ? create([]) : navigator.gpu;
Object.assign(globalThis, globals);
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] });
const kernel = `
  @group(0) @binding(0) var<storage, read_write> made: array<u32>;
  @compute @workgroup_size(8) fn main() { made[0] = subgroupAdd(1u); }`;
for (const [name, code] of Object.entries({ "with the line": `enable subgroups;${kernel}`, "without it": kernel })) {
  device.pushErrorScope("validation");
  device.createShaderModule({ code });
  const error = await device.popErrorScope();
  console.log(`${create ? "Dawn" : "Deno"} ${name}: ${error ? "refused" : "compiled"}`);
}
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno with the line: refused
Deno without it: compiled
Dawn with the line: compiled
Dawn without it: refused
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
