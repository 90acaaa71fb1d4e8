/**
 * Time to the first step of training on each driver, without compiled shaders and with those of the run before:
 * `deno task bench:start [drivers]`. Beside CPU seconds stand those of a clock, which depend on what else runs.
 *
 * @module
 */

import { type Driver, mesa, run, swiftshader } from "./debian.ts";

const DRIVERS: Readonly<Record<string, () => Promise<Driver>>> = {
  installed: () => Promise.resolve({ name: "installed", deno: Deno.execPath(), env: {} }),
  trixie: () => mesa("trixie"),
  sid: () => mesa("sid"),
  swiftshader,
};

const STEP = new URL("first_step.ts", import.meta.url).pathname;

const chosen = Deno.args.length > 0 ? Deno.args : Object.keys(DRIVERS);
for (const key of chosen) {
  const driver = DRIVERS[key];
  if (!driver) {
    throw new Error(`Give drivers of ${Object.keys(DRIVERS).join(", ")}: got "${key}"`);
  }
  const { name, deno, env } = await driver();
  const cache = await Deno.makeTempDir();
  try {
    const times = [];
    for (const when of ["cold", "again"]) {
      const printed = await run(deno, ["run", "--allow-all", "--no-check", STEP], {
        env: { DENO_WEBGPU_BACKEND: "vulkan", ...env, MESA_SHADER_CACHE_DIR: cache },
      });
      const { cpu, wall } = JSON.parse(printed);
      times.push(`${when} ${cpu.toFixed(1)} CPU s (${wall.toFixed(1)} s)`);
    }
    console.log(`${name}: ${times.join(", ")}`);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}
