#!/bin/sh
# Mesa 22.3.6 (Debian 12), llvmpipe as Vulkan driver, Deno 2.9.6: a compute pipeline is compiled anew for every value of a
# uniform, where a branch that hangs on it may go and leaves less than half of the code. Values are written into the
# machine code, so a counter or a length in a uniform costs a compilation at every dispatch, in one pipeline, and fills
# the disk cache. The first value decides: if the long branch is taken at first, no later one is compiled apart.
# Needs Debian 12 (amd64), npm and the libraries that mesa-vulkan-drivers depends on.
# Seen: 40 files in the cache after 40 dispatches with 40 values; 1 after the same value 40 times, 1 if the branch came first.
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
const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice();
const roots = Array.from({ length: 60 }, (_, i) => `s = sqrt(s * ${i + 2}.5 + f32(id.x * ${i}u));`);
const code = `
  @group(0) @binding(0) var<uniform> value: u32;
  @group(0) @binding(1) var<storage, read_write> made: array<f32>;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    var s = f32(id.x);
    if (value == 3u) { ${roots.join(" ")} }
    made[id.x] = s + f32(value);
  }`;
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
const { STORAGE, UNIFORM, COPY_DST } = GPUBufferUsage;
const uniform = device.createBuffer({ size: 16, usage: UNIFORM | COPY_DST });
const made = device.createBuffer({ size: 256, usage: STORAGE });
const entries = [uniform, made].map((buffer, binding) => ({ binding, resource: { buffer } }));
const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
for (const value of Deno.args) {
  device.queue.writeBuffer(uniform, 0, new Uint32Array([Number(value)]));
  await device.queue.onSubmittedWorkDone();
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
}
// A thread of the driver writes the cache.
await new Promise((written) => setTimeout(written, 3000));
JS
files_after() {
  name=$1
  shift
  mkdir "$name"
  DENO_WEBGPU_BACKEND=vulkan VK_DRIVER_FILES=$work/llvmpipe.json LD_LIBRARY_PATH=$lib MESA_SHADER_CACHE_DIR=$work/$name \
    node_modules/.bin/deno run look.mjs "$@"
  echo "$name: $(find "$name" -type f ! -name index | wc -l) files"
}
cat >expected <<'TEXT'
one value 40 times: 1 files
40 values: 40 files
40 values, the long branch first: 1 files
TEXT
{
  files_after "one value 40 times" $(yes 4 | head -n 40)
  files_after "40 values" $(seq 4 43)
  files_after "40 values, the long branch first" $(seq 3 42)
} | tee seen
diff expected seen
