#!/bin/sh
# Deno 2.9.6: an awaited mapAsync of a buffer that nothing uses takes more than 10 ms, every time; Dawn (npm webgpu 0.6.2 in
# Node) takes far less. A training loop that reads one number per step is therefore bound to fewer than 100 steps per second however
# small the model. Work, and the number of bytes, have no part in it: read rarely, and much at once.
# On SwiftShader (of @sparticuz/chromium 153.0.0). Needs x86-64 Linux, npm and curl.
# Seen: the shortest of 20 waits is above 10 ms in Deno (10.3 to 11.4) and below 2 ms in Dawn.
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
const device = await (await gpu.requestAdapter()).requestDevice();
const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
let shortest = Infinity;
for (let i = 0; i < 20; i++) {
  const start = performance.now();
  await buffer.mapAsync(GPUMapMode.READ);
  shortest = Math.min(shortest, performance.now() - start);
  buffer.unmap();
}
const name = create ? "Dawn" : "Deno";
console.error(`${name}: ${shortest.toFixed(2)} ms`);
console.log(`${name}: ${shortest > 10 ? "above 10 ms" : shortest < 2 ? "below 2 ms" : "between"}`);
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: above 10 ms
Dawn: below 2 ms
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
