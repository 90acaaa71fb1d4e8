/**
 * Hands every kernel of every class of device to Tint, the compiler of Chrome and Dawn: `deno task test:tint`.
 *
 * Features that Chrome has not (64-bit integers) are left out.
 *
 * @module
 */

import { inDialect, probeDialect } from "../../src/gpu/dialect.ts";
import { everyKernel } from "../helpers/every_kernel.ts";
import "./dawn.ts";

const adapter = await navigator.gpu.requestAdapter();
const device = await adapter!.requestDevice({
  requiredFeatures: ["subgroups" as GPUFeatureName],
});
const dialect = await probeDialect(device);
/** Who asks for a module first, by its code: constants and entry points make no other. */
const modules = new Map<string, string>();
for (const { device: asking, code, name } of await everyKernel()) {
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
