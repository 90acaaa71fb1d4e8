#!/bin/sh
# Mesa 22.3.6 (Debian 12), llvmpipe as Vulkan driver, Deno 2.9.6: shaders are simplified by the rules of algebra, not of
# floats. exp(1000) * exp(-1000) is 1, log(exp(1000)) is 1000 and (2^24 + 1) - 2^24 is 1 (by hand: in 25.0.7 and 26.2.6 too).
# WGSL allows it; SwiftShader (npm @sparticuz/chromium 153.0.0), given the same WGSL, overflows and rounds. A kernel that overflows
# where it is meant to run, for instance one that takes no maximum off before exp, thus passes its tests on a machine without a GPU,
# and Kahan's compensated sum, made of (sum + x) - sum, compiles to a plain one. Needs Debian 12 (amd64), npm, curl and the
# libraries that mesa-vulkan-drivers depends on.
# Seen: 1, 1000, 1 on llvmpipe; NaN, Infinity, 0 on SwiftShader; in two dispatches the same on both.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
apt-get download -q mesa-vulkan-drivers=22.3.6-1+deb12u2 libllvm15=1:15.0.6-4+b1 >/dev/null
for package in *.deb; do dpkg -x "$package" driver; done
lib=$work/driver/usr/lib/x86_64-linux-gnu
printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}' "$lib/libvulkan_lvp.so" >llvmpipe.json
cat >look.mjs <<'JS'
const device = await (await navigator.gpu.requestAdapter()).requestDevice();
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const size = 16;
async function compute(numbers, expressions) {
  const given = device.createBuffer({ size, usage: STORAGE | COPY_DST });
  device.queue.writeBuffer(given, 0, new Float32Array(numbers));
  const made = device.createBuffer({ size, usage: STORAGE | COPY_SRC });
  const read = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  const module = device.createShaderModule({
    code: `
      @group(0) @binding(0) var<storage, read> given: vec4f;
      @group(0) @binding(1) var<storage, read_write> made: vec4f;
      @compute @workgroup_size(1) fn main() {
        let x = given.x;
        let y = given.y;
        made = vec4f(${expressions.join(", ")}, 0.0);
      }`,
  });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  const entries = [given, made].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(made, 0, read, 0, size);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  return [...new Float32Array(read.getMappedRange())];
}
const name = Deno.args[0];
const [product, logarithm] = await compute([1000, -1000], ["exp(x) * exp(y)", "log(exp(x))", "0.0"]);
console.log(`${name}: exp(1000) * exp(-1000) is ${product}, log(exp(1000)) is ${logarithm}`);
const [difference] = await compute([2 ** 24, 1], ["(x + y) - x", "0.0", "0.0"]);
console.log(`${name}: (2^24 + 1) - 2^24 is ${difference}`);
const [large, small] = await compute([1000, -1000], ["exp(x)", "exp(y)", "0.0"]);
const [sum] = await compute([2 ** 24, 1], ["x + y", "0.0", "0.0"]);
const [later] = await compute([large, small], ["log(x)", "0.0", "0.0"]);
const [rest] = await compute([sum, 2 ** 24], ["x - y", "0.0", "0.0"]);
console.log(`${name}, in two dispatches: log(exp(1000)) is ${later}, (2^24 + 1) - 2^24 is ${rest}`);
JS
cat >expected <<'TEXT'
llvmpipe: exp(1000) * exp(-1000) is 1, log(exp(1000)) is 1000
llvmpipe: (2^24 + 1) - 2^24 is 1
llvmpipe, in two dispatches: log(exp(1000)) is Infinity, (2^24 + 1) - 2^24 is 0
SwiftShader: exp(1000) * exp(-1000) is NaN, log(exp(1000)) is Infinity
SwiftShader: (2^24 + 1) - 2^24 is 0
SwiftShader, in two dispatches: log(exp(1000)) is Infinity, (2^24 + 1) - 2^24 is 0
TEXT
export DENO_WEBGPU_BACKEND=vulkan
deno="node_modules/.bin/deno run --allow-env look.mjs"
{
  VK_DRIVER_FILES=$work/llvmpipe.json LD_LIBRARY_PATH=$lib $deno llvmpipe
  VK_DRIVER_FILES=$work/vk_swiftshader_icd.json LD_LIBRARY_PATH=$work $deno SwiftShader
} | tee seen
diff expected seen
