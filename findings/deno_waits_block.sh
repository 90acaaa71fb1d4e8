#!/bin/sh
# Deno 2.9.6: queue.onSubmittedWorkDone() and buffer.mapAsync() return their promises only when the device has finished:
# the calls themselves, awaited or not, keep the thread for as long as the work takes. No timer fires, no server answers, and
# whether a device is done cannot be asked without waiting for it. In Dawn (npm webgpu 0.6.2 in Node) they return at once.
# On SwiftShader (of @sparticuz/chromium 153.0.0). Needs x86-64 Linux, npm and curl.
# Seen: Deno spends 97 to 99 % of the time until the promises resolve within the calls, Dawn less than 1 %.
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
const made = device.createBuffer({ size: 4096, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
const read = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
const code = `
  @group(0) @binding(0) var<storage, read_write> made: array<f32>;
  @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
    var x = f32(i);
    for (var turn = 0; turn < 20000; turn++) { x = sqrt(x + 1.0); }
    made[i] = x;
  }`;
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
const entries = [{ binding: 0, resource: { buffer: made } }];
const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
function submit() {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(400);
  pass.end();
  encoder.copyBufferToBuffer(made, 0, read, 0, 4);
  device.queue.submit([encoder.finish()]);
}
const waits = {
  onSubmittedWorkDone: () => device.queue.onSubmittedWorkDone(),
  mapAsync: () => read.mapAsync(GPUMapMode.READ),
};
const name = create ? "Dawn" : "Deno";
for (const [what, wait] of Object.entries(waits)) {
  submit();
  const start = performance.now();
  const promise = wait();
  const called = performance.now() - start;
  await promise;
  const share = called / (performance.now() - start);
  console.error(`${name}, ${what}: ${(100 * share).toFixed(1)} % of ${(performance.now() - start).toFixed(0)} ms`);
  console.log(`${name}, ${what}: ${share > 0.8 ? "blocks" : share < 0.2 ? "returns at once" : "between"}`);
}
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno, onSubmittedWorkDone: blocks
Deno, mapAsync: blocks
Dawn, onSubmittedWorkDone: returns at once
Dawn, mapAsync: returns at once
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
