#!/bin/sh
# Mesa 22.3.6 (Debian 12), llvmpipe as Vulkan driver, Deno 2.9.6: after 65,535 turns a loop of a compute shader ends, without
# an error and without the device being lost. All loops of an invocation count together, so a loop that comes after it ends
# after its first turn. What the loop should have computed is missing. A kernel in which an invocation walks over a long
# row (a large vocabulary, 262,144 columns) therefore returns wrong numbers. Needs Debian 12 (amd64), npm and the libraries
# that mesa-vulkan-drivers depends on.
# Seen: 65,535 of 100,000 turns, then 1 of 90,000 turns.
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
const names = ["first loop, 100000 turns", "second loop, 300 x 300 turns"];
const input = new Uint32Array([100000, 300]);
const code = `
  @group(0) @binding(0) var<storage, read> turns: array<u32>;
  @group(0) @binding(1) var<storage, read_write> made: array<u32>;
  @compute @workgroup_size(1) fn main() {
    var counted = 0u;
    for (var i = 0u; i < turns[0]; i++) { counted += 1u + (turns[1] & i & 0u); }
    made[0] = counted;
    counted = 0u;
    for (var i = 0u; i < turns[1]; i++) {
      for (var j = 0u; j < turns[1]; j++) { counted += 1u + (turns[0] & j & 0u); }
    }
    made[1] = counted;
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
const counted = new Uint32Array(read.getMappedRange());
names.forEach((name, i) => console.log(`${name}: ${counted[i]}`));
JS
cat >expected <<'TEXT'
first loop, 100000 turns: 65535
second loop, 300 x 300 turns: 1
TEXT
DENO_WEBGPU_BACKEND=vulkan VK_DRIVER_FILES=$work/llvmpipe.json LD_LIBRARY_PATH=$lib \
  node_modules/.bin/deno run --allow-env look.mjs | tee seen
diff expected seen
