#!/bin/sh
# Deno 2.9.6 does not list "subgroups" among an adapter's features and grants it to a device that names it; the device then
# lists it and subgroupAdd runs. Code that asks `adapter.features.has("subgroups")` first, as WebGPU means it, never gets them. On
# SwiftShader (of @sparticuz/chromium 153.0.0), whose adapter lists it in Dawn (npm webgpu 0.6.2). Needs x86-64 Linux, npm, curl.
# Seen: Deno's adapter false, its device true, sizes 4 to 4; Dawn's adapter true.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6 webgpu@0.6.2
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
cat >look.mjs <<'JS'
const { create } = globalThis.Deno ? {} : await import("webgpu");
const gpu = create ? create([]) : navigator.gpu;
const adapter = await gpu.requestAdapter();
const { subgroupMinSize, subgroupMaxSize } = adapter.info;
const listed = adapter.features.has("subgroups");
const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"] });
console.log(
  `${create ? "Dawn" : "Deno"}: adapter lists subgroups ${listed}, device has them ${device.features.has("subgroups")},`,
  `sizes ${subgroupMinSize} to ${subgroupMaxSize}`,
);
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: adapter lists subgroups false, device has them true, sizes 4 to 4
Dawn: adapter lists subgroups true, device has them true, sizes 4 to 4
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
