#!/bin/sh
# `a && b || c`, `x & y | z`, `x << y + z` and `a == b == c`: wgpu's compiler in Deno 2.9.6 takes them with C's order of
# operators. WGSL's grammar has no order between these and asks for parentheses, as Tint does (Dawn, npm webgpu 0.6.2): a kernel that passes all
# its tests in Deno does not compile in Chrome. With parentheses both take all of them. Operators that do have an order,
# `x * y + z` and `a || b || c`, need none in either. On SwiftShader (of @sparticuz/chromium 153.0.0).
# Needs x86-64 Linux, npm and curl.
# Seen: Deno takes all ten, Dawn refuses the four without parentheses: "mixing '&&' and '||' requires parenthesis".
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . deno@2.9.6 webgpu@0.6.2
curl -fsS "$(npm view @sparticuz/chromium@153.0.0 dist.tarball)" | tar -xz package/bin/swiftshader.tar.br
node -e "process.stdout.write(zlib.brotliDecompressSync(fs.readFileSync('package/bin/swiftshader.tar.br')))" | tar -x
cat >look.mjs <<'JS'
const { create } = globalThis.Deno ? {} : await import("webgpu");
const gpu = create ? create([]) : navigator.gpu;
const device = await (await gpu.requestAdapter()).requestDevice();
const expressions = [
  "a && b || c",
  "(a && b) || c",
  "x & y | z",
  "(x & y) | z",
  "x << y + z",
  "x << (y + z)",
  "a == b == c",
  "(a == b) == c",
  "x * y + z",
  "a || b || c",
];
for (const expression of expressions) {
  device.pushErrorScope("validation");
  device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> n: array<u32, 4>;
      @compute @workgroup_size(1) fn main() {
        let x = n[0]; let y = n[1]; let z = n[2];
        let a = x > 0u; let b = y > 0u; let c = z > 0u;
        n[3] = u32(${expression});
      }`,
  });
  const error = await device.popErrorScope();
  const why = error && `refused, ${error.message.match(/mixing .* requires parenthesis/)}`;
  console.log(`${create ? "Dawn" : "Deno"}: ${expression} ${why ?? "compiled"}`);
}
if (create) process.exit();
JS
cat >expected <<'TEXT'
Deno: a && b || c compiled
Deno: (a && b) || c compiled
Deno: x & y | z compiled
Deno: (x & y) | z compiled
Deno: x << y + z compiled
Deno: x << (y + z) compiled
Deno: a == b == c compiled
Deno: (a == b) == c compiled
Deno: x * y + z compiled
Deno: a || b || c compiled
Dawn: a && b || c refused, mixing '&&' and '||' requires parenthesis
Dawn: (a && b) || c compiled
Dawn: x & y | z refused, mixing '&' and '|' requires parenthesis
Dawn: (x & y) | z compiled
Dawn: x << y + z refused, mixing '<<' and '+' requires parenthesis
Dawn: x << (y + z) compiled
Dawn: a == b == c refused, mixing '==' and '==' requires parenthesis
Dawn: (a == b) == c compiled
Dawn: x * y + z compiled
Dawn: a || b || c compiled
TEXT
export VK_DRIVER_FILES="$work/vk_swiftshader_icd.json"
{
  LD_LIBRARY_PATH=$work DENO_WEBGPU_BACKEND=vulkan node_modules/.bin/deno run --allow-env look.mjs
  LD_LIBRARY_PATH=$work node look.mjs
} | tee seen
diff expected seen
