#!/bin/sh
# Mesa 22.3.6 (Debian 12), llvmpipe as Vulkan driver, Deno 2.9.6: createComputePipelineAsync resolves before anything was
# compiled to machine code. That happens at a pipeline's first dispatch, one with zero workgroups included, and only then
# is there anything in the disk cache: neither making pipelines ahead of time nor a cache that an earlier process filled
# that way spares a program its compiling. What making a pipeline does is in no cache. Needs Debian 12 (amd64), npm and
# the libraries that mesa-vulkan-drivers depends on.
# Seen: 0 files in the cache after 5 pipelines, 1 after a dispatch of one of them, 5 after one of each with 0 workgroups.
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
const [dispatched, workgroups] = Deno.args.map(Number);
const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice();
const made = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE });
const pipelines = await Promise.all(Array.from({ length: 5 }, (_, k) => {
  const code = `
    @group(0) @binding(0) var<storage, read_write> made: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      made[id.x] = sqrt(f32(id.x)) + ${k}.0;
    }`;
  const module = device.createShaderModule({ code });
  return device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
}));
for (const pipeline of pipelines.slice(0, dispatched)) {
  const entries = [{ binding: 0, resource: { buffer: made } }];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(workgroups);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
}
// A thread of the driver writes the cache.
await new Promise((written) => setTimeout(written, 3000));
JS
files_after() {
  mkdir "$2.$3"
  DENO_WEBGPU_BACKEND=vulkan VK_DRIVER_FILES=$work/llvmpipe.json LD_LIBRARY_PATH=$lib MESA_SHADER_CACHE_DIR=$work/$2.$3 \
    node_modules/.bin/deno run look.mjs "$2" "$3"
  echo "$1: $(find "$2.$3" -type f ! -name index | wc -l) files"
}
cat >expected <<'TEXT'
5 pipelines: 0 files
and a dispatch of one: 1 files
and one of each, with 0 workgroups: 5 files
TEXT
{
  files_after "5 pipelines" 0 1
  files_after "and a dispatch of one" 1 1
  files_after "and one of each, with 0 workgroups" 5 0
} | tee seen
diff expected seen
