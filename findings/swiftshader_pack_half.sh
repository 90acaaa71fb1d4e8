#!/bin/sh
# SwiftShader of Chromium 153 (npm @sparticuz/chromium 153.0.0): pack2x16float, which stores two numbers as float16, makes
# NaN of infinity and of most numbers too large for float16; of infinity and of very large ones it also changes the other number of the
# pair. WGSL leaves open what a number out of range becomes, but the neighbour is in range, and where other drivers give infinity a search
# for infinities finds no overflow here. Clamping to 65504 before packing is right everywhere. In Deno 2.9.6 (wgpu) and Dawn (npm
# webgpu 0.6.2) alike. Needs x86-64 Linux, npm and curl.
# Seen, of pairs (x, 1) as bits: NaN (above 7c00) from 70000 on, and 1 (3c00) becomes 1.002 (3c02) beside 1e38 and infinity.
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
const input = new Float32Array([65504, 65520, 65536, 70000, 100000, 200000, 1e6, 1e38, Infinity]);
const code = `
  @group(0) @binding(0) var<storage, read> given: array<f32>;
  @group(0) @binding(1) var<storage, read_write> made: array<u32>;
  @compute @workgroup_size(1) fn main() {
    for (var i = 0u; i < ${input.length}u; i++) { made[i] = pack2x16float(vec2f(given[i], 1.0)); }
  }`;
const device = await (await gpu.requestAdapter()).requestDevice();
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const given = device.createBuffer({ size: input.byteLength, usage: STORAGE | COPY_DST });
device.queue.writeBuffer(given, 0, input);
const made = device.createBuffer({ size: input.byteLength, usage: STORAGE | COPY_SRC });
const read = device.createBuffer({ size: input.byteLength, usage: MAP_READ | COPY_DST });
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
const entries = [given, made].map((buffer, binding) => ({ binding, resource: { buffer } }));
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
pass.dispatchWorkgroups(1);
pass.end();
encoder.copyBufferToBuffer(made, 0, read, 0, input.byteLength);
device.queue.submit([encoder.finish()]);
await read.mapAsync(GPUMapMode.READ);
const halves = [...new Uint16Array(read.getMappedRange())].map((half) => half.toString(16).padStart(4, "0"));
input.forEach((x, i) => console.log(`${create ? "Dawn" : "Deno"}: (${x}, 1) is ${halves[2 * i]} ${halves[2 * i + 1]}`));
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: (65504, 1) is 7bff 3c00
Deno: (65520, 1) is 7c00 3c00
Deno: (65536, 1) is 7c00 3c00
Deno: (70000, 1) is 7c46 3c00
Deno: (100000, 1) is 7e1a 3c00
Deno: (200000, 1) is ffff 3c00
Deno: (1000000, 1) is ffff 3c00
Deno: (9.999999680285692e+37, 1) is 7fff 3c02
Deno: (Infinity, 1) is 7fff 3c02
Dawn: (65504, 1) is 7bff 3c00
Dawn: (65520, 1) is 7c00 3c00
Dawn: (65536, 1) is 7c00 3c00
Dawn: (70000, 1) is 7c46 3c00
Dawn: (100000, 1) is 7e1a 3c00
Dawn: (200000, 1) is ffff 3c00
Dawn: (1000000, 1) is ffff 3c00
Dawn: (9.999999680285692e+37, 1) is 7fff 3c02
Dawn: (Infinity, 1) is 7fff 3c02
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
