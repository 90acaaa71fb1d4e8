/**
 * Stacks that tests run on: a driver and a WebGPU in front of it.
 *
 * @module
 */

import { type Driver, mesa, swiftshader } from "./debian.ts";

const DAWN = new URL("dawn.ts", import.meta.url).pathname;

/** How a stack is put together: a driver and arguments of `deno test` or `deno run`. */
export interface Stack extends Driver {
  readonly args: readonly string[];
}

async function wgpu(driver: Promise<Driver>): Promise<Stack> {
  return { ...await driver, args: [] };
}

async function dawn(driver: Promise<Driver>): Promise<Stack> {
  const { name, ...rest } = await driver;
  return { ...rest, name: `Dawn on ${name}`, args: [`--preload=${DAWN}`] };
}

/** Subgroups of llvmpipe are as wide as its vectors: 128 bits are four lanes. */
function lanes(count: number): Promise<Stack> {
  const env = { LP_NATIVE_VECTOR_WIDTH: `${32 * count}` };
  return Promise.resolve({ name: `${count} lanes`, deno: Deno.execPath(), args: [], env });
}

/** Stacks by what they have in common. */
export const STACKS: Readonly<Record<string, Readonly<Record<string, () => Promise<Stack>>>>> = {
  swiftshader: { swiftshader: () => wgpu(swiftshader()) },
  mesa: { trixie: () => wgpu(mesa("trixie")), sid: () => wgpu(mesa("sid")) },
  dawn: {
    swiftshader: () => dawn(swiftshader()),
    trixie: () => dawn(mesa("trixie")),
    sid: () => dawn(mesa("sid")),
  },
  lanes: { "4": () => lanes(4), "16": () => lanes(16) },
};
