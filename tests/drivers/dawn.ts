/**
 * Puts Dawn, the WebGPU of Chrome, in the place of Deno's own: `deno test --preload=tests/drivers/dawn.ts`. Matrix units
 * are offered where the driver has them.
 *
 * @module
 */

const { create, globals } = await import("npm:webgpu@0.6.2");
Object.assign(globalThis, globals);
// Whoever made the adapter has to stay alive for as long as a device of it.
Object.defineProperty(globalThis.navigator, "gpu", {
  value: create(["enable-dawn-features=allow_unsafe_apis"]),
  configurable: true,
});
