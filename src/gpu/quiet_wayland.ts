/**
 * Keeping a library quiet that computing does not need.
 *
 * @module
 */

import { host } from "../host/host.ts";

/** What libwayland, which Mesa's drivers load, complains about twice per process where it is unset. */
const RUNTIME_DIR = "XDG_RUNTIME_DIR";

/**
 * Gives libwayland a folder to find nothing in while a device is asked for, on a Linux machine without a desktop that
 * names none. Only where the program may read and set this one variable (`--allow-env=XDG_RUNTIME_DIR`); it is then as it
 * was again.
 *
 * @param use What asks for the device.
 */
export async function withQuietWayland<T>(use: () => Promise<T>): Promise<T> {
  const variables = host.linuxVariables(RUNTIME_DIR);
  const before = variables?.get(RUNTIME_DIR);
  if (!variables || before) return await use();
  variables.set(RUNTIME_DIR, "/");
  try {
    return await use();
  } finally {
    if (before === undefined) variables.delete(RUNTIME_DIR);
    else variables.set(RUNTIME_DIR, before);
  }
}
