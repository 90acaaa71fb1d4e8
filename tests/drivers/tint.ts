/**
 * Hands every kernel of every class of device to Tint, the compiler of Chrome and Dawn: `deno task test:tint`.
 *
 * What Chrome has not (64-bit integers) or the driver has not (matrix units) is left out.
 *
 * @module
 */

import { inDialect, probeDialect } from "../../src/gpu/dialect.ts";
import { MATRIX_UNITS } from "../../src/gpu/matrix_units.ts";
import { everyKernel } from "../helpers/every_kernel.ts";
import "./dawn.ts";

const adapter = await navigator.gpu.requestAdapter();
const requiredFeatures = ["subgroups", "shader-f16", MATRIX_UNITS]
  .filter((name) => adapter!.features.has(name as GPUFeatureName)) as GPUFeatureName[];
const device = await adapter!.requestDevice({ requiredFeatures });
const dialect = await probeDialect(device);
/** Who asks for a module first, by its code: constants and entry points make no other. */
const modules = new Map<string, string>();
for (const { device: asking, code, name } of await everyKernel()) {
  if (
    /\bsubgroup_matrix_/.test(code) && !requiredFeatures.includes(MATRIX_UNITS as GPUFeatureName)
  ) {
    continue;
  }
  if (!/\bu64\b/.test(code) && !modules.has(code)) modules.set(code, `${name}, for ${asking}`);
}
let failed = 0;
for (const [code, name] of modules) {
  device.pushErrorScope("validation");
  device.createShaderModule({ code: inDialect(code, dialect) });
  const error = await device.popErrorScope();
  if (!error) continue;
  failed++;
  console.error(`${name}: ${error.message}`);
}
console.log(`Tint: ${modules.size - failed} modules are right, ${failed} are not`);
device.destroy();
Deno.exit(failed > 0 || modules.size === 0 ? 1 : 0);
