#!/bin/sh
# SwiftShader, Chrome's driver for machines without a GPU (of @sparticuz/chromium 153.0.0, through Deno 2.9.6): exp(NaN) is
# infinite, log(0) is -88.03 instead of -infinity, log(NaN) is 89.13 and tanh(100) is NaN. WGSL promises little here.
# A NaN that passes through log becomes an ordinary number and is found by no later check; a GELU by tanh gives NaN for large
# inputs. Kernels that should agree between drivers have to treat these cases themselves.
# Needs x86-64 Linux, npm and curl.
# Seen: the numbers above.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
cat >look.mjs <<'JS'
const gpu = navigator.gpu;
const names = ["exp(NaN)", "log(0)", "log(NaN)", "tanh(10)", "tanh(100)"];
const input = new Float32Array([NaN, 0, NaN, 10, 100]);
const code = `
  @group(0) @binding(0) var<storage, read> given: array<f32>;
  @group(0) @binding(1) var<storage, read_write> made: array<f32>;
  @compute @workgroup_size(1) fn main() {
    made[0] = exp(given[0]);
    made[1] = log(given[1]);
    made[2] = log(given[2]);
    made[3] = tanh(given[3]);
    made[4] = tanh(given[4]);
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
const numbers = new Float32Array(read.getMappedRange());
names.forEach((name, i) => console.log(`${name} is ${numbers[i].toFixed(2)}`));
JS
cat >expected <<'TEXT'
exp(NaN) is Infinity
log(0) is -88.03
log(NaN) is 89.13
tanh(10) is 1.00
tanh(100) is NaN
TEXT
DENO_WEBGPU_BACKEND=vulkan VK_DRIVER_FILES=$work/vk_swiftshader_icd.json LD_LIBRARY_PATH=$work \
  node_modules/.bin/deno run --allow-env look.mjs | tee seen
diff expected seen
