/**
 * Compiles every kernel of every class of device with Tint, the compiler of Chrome and Dawn: `deno task test:tint`.
 *
 * Dawn's null backend stands in for a driver, so that none is needed. What Chrome has not (64-bit integers) or the backend
 * has not is left out.
 *
 * @module
 */

import { compileKernel } from "../../src/gpu/kernel.ts";
import { inDialect, probeDialect } from "../../src/gpu/dialect.ts";
import { MATRIX_UNITS } from "../../src/gpu/matrix_units.ts";
import { everyKernel } from "../helpers/every_kernel.ts";

// Not a literal: what deno.lock lists is fetched by every `deno task`.
const DAWN = "npm:webgpu@0.6.2";
const { create, globals } = await import(DAWN);
Object.assign(globalThis, globals);
const gpu: GPU = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
const adapter = (await gpu.requestAdapter())!;
const requiredFeatures = ["subgroups", "shader-f16", MATRIX_UNITS]
  .filter((name) => adapter.features.has(name as GPUFeatureName)) as GPUFeatureName[];
const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = adapter.limits;
const device = await adapter.requestDevice({
  requiredFeatures,
  requiredLimits: { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup },
});
const dialect = await probeDialect(device);
const missing = device.features.has(MATRIX_UNITS as GPUFeatureName)
  ? /\bu64\b/
  : /\bu64\b|\bsubgroup_matrix_/;
const kernels = (await everyKernel()).filter(({ code }) => !missing.test(code));
const reasons = await Promise.all(kernels.map(async (kernel) => {
  try {
    await compileKernel(device, { ...kernel, code: inDialect(kernel.code, dialect) }).ready;
    return [];
  } catch (error) {
    // Of a compiled kernel: the backend has no more than the 16 KiB that every device has.
    if (/workgroup storage .* larger than the maximum/.test(`${error}`)) return [];
    return [`${kernel.name}.${kernel.entryPoint}, for ${kernel.device}: ${error}`];
  }
}));
const wrong = reasons.flat();
for (const reason of wrong) console.error(reason);
console.log(`Tint: ${kernels.length - wrong.length} kernels are right, ${wrong.length} are not`);
device.destroy();
Deno.exit(wrong.length > 0 || kernels.length === 0 ? 1 : 0);
