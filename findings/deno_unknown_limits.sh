#!/bin/sh
# Deno 2.9.6 grants a device whose requiredLimits names a limit that does not exist; WebGPU says OperationError, which Dawn
# (npm webgpu 0.6.2) gives. A misspelled limit is thus not noticed in Deno: the device has the default (8 storage buffers,
# 128 MiB of a binding), and the first sign is a kernel that is refused on a GPU which could have run it.
# On SwiftShader (of @sparticuz/chromium 153.0.0). Needs x86-64 Linux, npm and curl.
# Seen: granted with the default of 8 in Deno, OperationError in Dawn.
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
const name = create ? "Dawn" : "Deno";
const adapter = await gpu.requestAdapter();
try {
  const device = await adapter.requestDevice({ requiredLimits: { maxStorageBuffersPerStage: 10 } });
  console.log(`${name}: granted, ${device.limits.maxStorageBuffersPerShaderStage} storage buffers`);
} catch (error) {
  console.log(`${name}: ${error.name}`);
}
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: granted, 8 storage buffers
Dawn: OperationError
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
