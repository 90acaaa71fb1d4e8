#!/bin/sh
# WGSL's x != x is false for a NaN, in wgpu's compiler (Deno 2.9.6) and in Tint (Dawn, npm webgpu 0.6.2) alike, on
# SwiftShader (of @sparticuz/chromium 153.0.0): both translate it to a comparison that is false as soon as an operand is NaN.
# x == x is false too. The usual test for NaN, ported to a shader, therefore never finds one; !(x == x) does here, the bits of x
# do everywhere. Needs x86-64 Linux, npm and curl.
# Seen: 0 for x != x, 0 for x == x, 1 for !(x == x), in both.
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
const names = ["x != x", "x == x", "!(x == x)"];
const input = new Float32Array([NaN]);
const code = `
  @group(0) @binding(0) var<storage, read> given: array<f32>;
  @group(0) @binding(1) var<storage, read_write> made: array<f32>;
  @compute @workgroup_size(1) fn main() {
    let x = given[0];
    made[0] = select(0.0, 1.0, x != x);
    made[1] = select(0.0, 1.0, x == x);
    made[2] = select(0.0, 1.0, !(x == x));
  }`;
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const given = device.createBuffer({ size: input.byteLength, usage: STORAGE | COPY_DST });
device.queue.writeBuffer(given, 0, input);
const made = device.createBuffer({ size: 4 * names.length, usage: STORAGE | COPY_SRC });
const read = device.createBuffer({ size: 4 * names.length, usage: MAP_READ | COPY_DST });
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
const entries = [given, made].map((buffer, binding) => ({ binding, resource: { buffer } }));
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
pass.dispatchWorkgroups(1);
pass.end();
encoder.copyBufferToBuffer(made, 0, read, 0, 4 * names.length);
device.queue.submit([encoder.finish()]);
await read.mapAsync(GPUMapMode.READ);
const numbers = [...new Float32Array(read.getMappedRange())];
console.log(create ? "Dawn:" : "Deno:", names.map((name, i) => `${name} is ${numbers[i]}`).join(", "));
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: x != x is 0, x == x is 0, !(x == x) is 1
Dawn: x != x is 0, x == x is 0, !(x == x) is 1
TEXT
export VK_DRIVER_FILES=$work/vk_swiftshader_icd.json
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
