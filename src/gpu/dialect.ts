/**
 * What compilers of WGSL want to be told, each in its own way; kernels are written without it.
 *
 * @module
 */

/**
 * What Tint (Dawn, Chrome) asks for where subgroups are used: it wants them enabled, and takes calls of them after results
 * of others for non-uniform. naga (Deno, Firefox) knows neither word and needs none.
 */
const SUBGROUPS = "enable subgroups; diagnostic(off, subgroup_uniformity);";

/** How WGSL is handed to a device. */
export interface Dialect {
  /** What a module that uses subgroups begins with. */
  readonly subgroups: string;
}

/** WGSL as it is written. */
export const PLAIN: Dialect = { subgroups: "" };

/**
 * Finds out what a device's compiler wants.
 *
 * @param device The device.
 */
export async function probeDialect(device: GPUDevice): Promise<Dialect> {
  if (!device.features.has("subgroups" as GPUFeatureName)) return PLAIN;
  device.pushErrorScope("validation");
  device.createShaderModule({
    code: inDialect("@compute @workgroup_size(1) fn main() { _ = subgroupAdd(1u); }", {
      subgroups: SUBGROUPS,
    }),
  });
  return await device.popErrorScope() ? PLAIN : { subgroups: SUBGROUPS };
}

/** A module in the words of a dialect; lines keep their numbers. */
export function inDialect(code: string, { subgroups }: Dialect): string {
  return /\bsubgroup\w+\(|@builtin\(subgroup_/.test(code) ? `${subgroups} ${code}` : code;
}
