/**
 * Opening the GPU for a command.
 *
 * @module
 */

import { type Gpu, openGpu } from "../gpu/device.ts";

/** What libwayland, which Mesa loads, complains about twice per process where it is unset. */
const RUNTIME_DIR = "XDG_RUNTIME_DIR";

/** Gives libwayland a folder to find nothing in, where a machine without a desktop names none. */
function silenceWayland(): void {
  if (Deno.build.os !== "linux") return;
  const allowed = Deno.permissions.querySync({ name: "env", variable: RUNTIME_DIR });
  if (allowed.state !== "granted" || Deno.env.get(RUNTIME_DIR)) return;
  Deno.env.set(RUNTIME_DIR, "/");
}

/**
 * Opens the GPU and closes it after `use`.
 *
 * @throws {Error} If there is no adapter; the message names the remedy.
 */
export async function withGpu<T>(use: (gpu: Gpu) => Promise<T>): Promise<T> {
  silenceWayland();
  const gpu = await openGpu();
  try {
    return await use(gpu);
  } finally {
    await gpu.close();
  }
}
