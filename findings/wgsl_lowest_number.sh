#!/bin/sh
# What a running maximum or a masked score begins with, minus infinity or the lowest f32, can be written in ways that Deno
# 2.9.6 takes and Dawn (npm webgpu 0.6.2) refuses: `bitcast<f32>(0xff800000u)`, a constant that is not finite, which WGSL
# forbids, and `-3.4028235e38`, the lowest f32 as Rust, Go and NumPy print it, which as a number lies below the lowest f32.
# All 17 digits, or hexadecimal, are taken by both, and so is the bitcast of a variable. Both refuse -1.0 / 0.0, log(0.0) and
# -1e39. On SwiftShader (of @sparticuz/chromium 153.0.0). Needs x86-64 Linux, npm and curl.
# Seen: of eight ways Deno takes five and Dawn three; the bits are those of -infinity and of the lowest f32.
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
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const made = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
const read = device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST });
async function bitsOf(value) {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> made: f32;
      @compute @workgroup_size(1) fn main() { var bits = 0xff800000u; made = ${value}; }`,
  });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  if (await device.popErrorScope()) return "refused";
  const entries = [{ binding: 0, resource: { buffer: made } }];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(made, 0, read, 0, 4);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  const bits = new Uint32Array(read.getMappedRange())[0];
  read.unmap();
  return bits.toString(16);
}
const values = [
  "bitcast<f32>(0xff800000u)",
  "bitcast<f32>(bits)",
  "-1.0 / 0.0",
  "log(0.0)",
  "-1e39",
  "-3.4028235e38",
  "-3.4028234663852886e38",
  "-0x1.fffffep127",
];
for (const value of values) console.log(`${create ? "Dawn" : "Deno"}: ${value} ${await bitsOf(value)}`);
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: bitcast<f32>(0xff800000u) ff800000
Deno: bitcast<f32>(bits) ff800000
Deno: -1.0 / 0.0 refused
Deno: log(0.0) refused
Deno: -1e39 refused
Deno: -3.4028235e38 ff7fffff
Deno: -3.4028234663852886e38 ff7fffff
Deno: -0x1.fffffep127 ff7fffff
Dawn: bitcast<f32>(0xff800000u) refused
Dawn: bitcast<f32>(bits) ff800000
Dawn: -1.0 / 0.0 refused
Dawn: log(0.0) refused
Dawn: -1e39 refused
Dawn: -3.4028235e38 refused
Dawn: -3.4028234663852886e38 ff7fffff
Dawn: -0x1.fffffep127 ff7fffff
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
