#!/bin/sh
# SwiftShader of Chromium 153 (npm @sparticuz/chromium 153.0.0): sin and cos are off by up to 2e-4 between -pi and pi, and by more
# the larger the angle: 6e-4 near 8,192, 2e-2 near 262,144. WGSL asks for 2^-11 between -pi and pi and for nothing beyond. Rotary position
# embeddings computed in the shader, whose first pair turns by one radian a token, have these errors in every query and key,
# and a comparison with another device fails in the fourth digit; a table made by the host has none of it. In Deno 2.9.6 (wgpu) and
# Dawn (npm webgpu 0.6.2) alike. Needs x86-64 Linux, npm and curl.
# Seen: the largest error at seven angles each, of sin and cos; rounding to float32 alone is 3e-8.
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
const first = [-3, 8189, 262141];
const angles = new Float32Array(first.flatMap((from) => [0, 1, 2, 3, 4, 5, 6].map((i) => from + i)));
const code = `
  @group(0) @binding(0) var<storage, read> given: array<f32>;
  @group(0) @binding(1) var<storage, read_write> made: array<vec2f>;
  @compute @workgroup_size(1) fn main() {
    for (var i = 0u; i < ${angles.length}u; i++) { made[i] = vec2f(sin(given[i]), cos(given[i])); }
  }`;
const device = await (await gpu.requestAdapter()).requestDevice();
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const given = device.createBuffer({ size: angles.byteLength, usage: STORAGE | COPY_DST });
device.queue.writeBuffer(given, 0, angles);
const size = 2 * angles.byteLength;
const made = device.createBuffer({ size, usage: STORAGE | COPY_SRC });
const read = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
const entries = [given, made].map((buffer, binding) => ({ binding, resource: { buffer } }));
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
pass.dispatchWorkgroups(1);
pass.end();
encoder.copyBufferToBuffer(made, 0, read, 0, size);
device.queue.submit([encoder.finish()]);
await read.mapAsync(GPUMapMode.READ);
const values = new Float32Array(read.getMappedRange());
const errors = Array.from(angles, (x, i) =>
  Math.max(Math.abs(values[2 * i] - Math.sin(x)), Math.abs(values[2 * i + 1] - Math.cos(x))));
for (let i = 0; i < angles.length; i += 7) {
  const largest = Math.max(...errors.slice(i, i + 7));
  console.log(`${create ? "Dawn" : "Deno"}: angles ${angles[i]} to ${angles[i + 6]}, largest error ${largest.toExponential(0)}`);
}
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: angles -3 to 3, largest error 2e-4
Deno: angles 8189 to 8195, largest error 6e-4
Deno: angles 262141 to 262147, largest error 2e-2
Dawn: angles -3 to 3, largest error 2e-4
Dawn: angles 8189 to 8195, largest error 6e-4
Dawn: angles 262141 to 262147, largest error 2e-2
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
