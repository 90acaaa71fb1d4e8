/**
 * Keeping a library quiet that computing does not need.
 *
 * @module
 */

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
  const { Deno: deno } = globalThis as { Deno?: typeof Deno };
  if (deno?.build.os !== "linux") return await use();
  const { state } = deno.permissions.querySync({ name: "env", variable: RUNTIME_DIR });
  const before = state === "granted" ? deno.env.get(RUNTIME_DIR) : undefined;
  if (state !== "granted" || before) return await use();
  deno.env.set(RUNTIME_DIR, "/");
  try {
    return await use();
  } finally {
    if (before === undefined) deno.env.delete(RUNTIME_DIR);
    else deno.env.set(RUNTIME_DIR, before);
  }
}
