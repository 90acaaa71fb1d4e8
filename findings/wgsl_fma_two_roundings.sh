#!/bin/sh
# WGSL's fma(a, b, c) rounds the product before it adds, on the llvmpipe of Mesa 22.3.6 (Debian 12) and on SwiftShader (npm
# @sparticuz/chromium 153.0.0), in Deno 2.9.6 and in Dawn (npm webgpu 0.6.2) alike. WGSL allows it; C's fma rounds once, as
# does Mesa 26.2.6. What is made of fma because it is exact, such as the error of a product, fma(a, b, -(a * b)), or sums in two
# floats, is 0 here instead of the error, and the same kernel has other bits on another version of the driver.
# Needs Debian 12 (amd64), npm, curl and the libraries that mesa-vulkan-drivers depends on.
# Seen: the error of a product, 2^-24 in exact arithmetic, is 0 in all three.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6 webgpu@0.6.2
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
apt-get download -q mesa-vulkan-drivers=22.3.6-1+deb12u2 libllvm15=1:15.0.6-4+b1 >/dev/null
for package in *.deb; do dpkg -x "$package" driver; done
lib=$work/driver/usr/lib/x86_64-linux-gnu
printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}' "$lib/libvulkan_lvp.so" >llvmpipe.json
cat >look.mjs <<'JS'
import process from "node:process";
const { create, globals } = globalThis.Deno ? {} : await import("webgpu");
const gpu = create ? create([]) : navigator.gpu;
Object.assign(globalThis, globals);
const input = new Float32Array([1 + 2 ** -12, -(1 + 2 ** -11)]);
const code = `
  @group(0) @binding(0) var<storage, read> given: array<f32>;
  @group(0) @binding(1) var<storage, read_write> made: array<f32>;
  @compute @workgroup_size(1) fn main() {
    let a = given[0];
    made[0] = fma(a, a, -(a * a));
    made[1] = fma(a, a, given[1]);
  }`;
const device = await (await gpu.requestAdapter()).requestDevice();
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const given = device.createBuffer({ size: 8, usage: STORAGE | COPY_DST });
device.queue.writeBuffer(given, 0, input);
const made = device.createBuffer({ size: 8, usage: STORAGE | COPY_SRC });
const read = device.createBuffer({ size: 8, usage: MAP_READ | COPY_DST });
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
const entries = [given, made].map((buffer, binding) => ({ binding, resource: { buffer } }));
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
pass.dispatchWorkgroups(1);
pass.end();
encoder.copyBufferToBuffer(made, 0, read, 0, 8);
device.queue.submit([encoder.finish()]);
await read.mapAsync(GPUMapMode.READ);
const [error, difference] = new Float32Array(read.getMappedRange());
// Doubles hold the product of two floats exactly, and this difference too.
const exact = input[0] * input[0] + input[1];
console.log(`${process.env.STACK}: error ${error}, difference ${difference}, exactly 2^${Math.log2(exact)}`);
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno, llvmpipe: error 0, difference 0, exactly 2^-24
Deno, SwiftShader: error 0, difference 0, exactly 2^-24
Dawn, SwiftShader: error 0, difference 0, exactly 2^-24
TEXT
deno="node_modules/.bin/deno run --allow-env look.mjs"
{
  export VK_DRIVER_FILES="$work/llvmpipe.json" DENO_WEBGPU_BACKEND=vulkan
  STACK="Deno, llvmpipe" LD_LIBRARY_PATH=$lib $deno
  export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
  STACK="Deno, SwiftShader" LD_LIBRARY_PATH=$work $deno
  STACK="Dawn, SwiftShader" LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
