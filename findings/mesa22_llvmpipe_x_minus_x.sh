#!/bin/sh
# Mesa 22.3.6 (Debian 12), llvmpipe as Vulkan driver, Deno 2.9.6: x - x of a WGSL variable is 0 even where x is NaN or
# infinite, so that the test `x - x == 0` for a finite number says yes to all of them. WGSL allows it (an implementation may
# assume that neither occurs). The bits of x are kept: bitcast<u32>(x) tells. Needs Debian 12 (amd64), npm and the libraries
# that mesa-vulkan-drivers depends on.
# Seen: 0 for NaN - NaN and for infinity - infinity, of one variable; of two variables both are NaN.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6
apt-get download -q mesa-vulkan-drivers=22.3.6-1+deb12u2 libllvm15=1:15.0.6-4+b1 >/dev/null
for package in *.deb; do dpkg -x "$package" driver; done
lib=$work/driver/usr/lib/x86_64-linux-gnu
printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}' "$lib/libvulkan_lvp.so" >llvmpipe.json
cat >look.mjs <<'JS'
const gpu = navigator.gpu;
const names = ["NaN - itself", "infinity - itself", "infinity - another infinity", "exponent bits of the NaN"];
const input = new Float32Array([NaN, Infinity, Infinity]);
const code = `
  @group(0) @binding(0) var<storage, read> given: array<f32>;
  @group(0) @binding(1) var<storage, read_write> made: array<f32>;
  @compute @workgroup_size(1) fn main() {
    let undefined_number = given[0];
    let infinite = given[1];
    made[0] = undefined_number - undefined_number;
    made[1] = infinite - infinite;
    made[2] = infinite - given[2];
    made[3] = f32((bitcast<u32>(undefined_number) >> 23u) & 255u);
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
names.forEach((name, i) => console.log(`${name}: ${numbers[i]}`));
JS
cat >expected <<'TEXT'
NaN - itself: 0
infinity - itself: 0
infinity - another infinity: NaN
exponent bits of the NaN: 255
TEXT
DENO_WEBGPU_BACKEND=vulkan VK_DRIVER_FILES=$work/llvmpipe.json LD_LIBRARY_PATH=$lib \
  node_modules/.bin/deno run --allow-env look.mjs | tee seen
diff expected seen
