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

/** What it asks for where matrix units are used; nobody else has them. */
const UNITS = "enable f16; enable chromium_experimental_subgroup_matrix;";

/** How WGSL is handed to a device. */
export interface Dialect {
  /** What a module that uses subgroups begins with. */
  readonly subgroups: string;
  /** What a module that uses matrix units begins with. */
  readonly units: string;
}

/** WGSL as it is written. */
export const PLAIN: Dialect = { subgroups: "", units: "" };

const TINT: Dialect = { subgroups: SUBGROUPS, units: UNITS };

/**
 * Finds out what a device's compiler wants.
 *
 * @param device The device.
 */
export async function probeDialect(device: GPUDevice): Promise<Dialect> {
  if (!device.features.has("subgroups" as GPUFeatureName)) return PLAIN;
  device.pushErrorScope("validation");
  device.createShaderModule({
    code: inDialect("@compute @workgroup_size(1) fn main() { _ = subgroupAdd(1u); }", TINT),
  });
  return await device.popErrorScope() ? PLAIN : TINT;
}

/** A module in the words of a dialect; lines keep their numbers. */
export function inDialect(code: string, { subgroups, units }: Dialect): string {
  if (!/\bsubgroup\w+\(|@builtin\(subgroup_/.test(code)) return code;
  return `${/\bsubgroup_matrix_/.test(code) ? units : ""}${subgroups} ${code}`;
}
