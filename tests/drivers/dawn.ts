/**
 * Puts Dawn, the WebGPU of Chrome, in the place of Deno's own: `deno test --preload=tests/drivers/dawn.ts`. Matrix units
 * are offered where the driver has them.
 *
 * @module
 */

// Not a literal: what deno.lock lists is fetched by every `deno task`, and this has 132 MB.
const DAWN = "npm:webgpu@0.6.2";
const { create, globals } = await import(DAWN);
Object.assign(globalThis, globals);
// Whoever made the adapter has to stay alive for as long as a device of it.
Object.defineProperty(globalThis.navigator, "gpu", {
  value: create(["enable-dawn-features=allow_unsafe_apis"]),
  configurable: true,
});
