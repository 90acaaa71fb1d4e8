/**
 * Matrix units: what a device multiplies by whole subgroups, in float16 with sums in float32.
 *
 * WebGPU has no such feature yet. Dawn offers it as an experiment, npm's `webgpu` with the toggle `allow_unsafe_apis`; Deno
 * knows another form of it and keeps it locked.
 *
 * @module
 */

/** Sizes of a product that a subgroup computes at once: out (rows, columns) += a (rows, inner) · b (inner, columns). */
export interface MatrixUnit {
  /** M. */
  readonly rows: number;
  /** N. */
  readonly columns: number;
  /** K. */
  readonly inner: number;
}

/** Dawn's name of the feature. */
export const MATRIX_UNITS = "chromium-experimental-subgroup-matrix";

/** What Dawn's adapters say of a unit. */
interface SubgroupMatrixConfig {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly componentType: string;
  readonly resultComponentType: string;
}

/**
 * The units that kernels can use, the largest first: float16 in, float32 out, and sizes that divide 32.
 *
 * @param info What an adapter says of itself.
 */
export function matrixUnitsOf(info: GPUAdapterInfo | undefined): MatrixUnit[] {
  const { subgroupMatrixConfigs: configs = [] } = (info ?? {}) as {
    subgroupMatrixConfigs?: readonly SubgroupMatrixConfig[];
  };
  return [...configs]
    .filter((config) => config.componentType === "f16" && config.resultComponentType === "f32")
    .map(({ M: rows, N: columns, K: inner }) => ({ rows, columns, inner }))
    .filter((unit) => Object.values(unit).every((size) => size >= 4 && 32 % size === 0))
    .sort((x, y) => y.rows * y.columns * y.inner - x.rows * x.columns * x.inner);
}

/** Why `matrixUnits: true` cannot be had of a device. */
export function noMatrixUnits(device: GPUDevice, description: string): Error {
  const has = (name: string) => device.features.has(name as GPUFeatureName);
  const why = !has(MATRIX_UNITS)
    ? `has no feature ${MATRIX_UNITS} here. Deno's own WebGPU keeps matrix units locked; npm's webgpu (Dawn) offers ` +
      'those of the driver: openGpu({ webgpu: create(["enable-dawn-features=allow_unsafe_apis"]), matrixUnits: true }), ' +
      "or --webgpu dawn on the command line"
    : !has("shader-f16") || !has("subgroups")
    ? "has them, but not the features shader-f16 and subgroups, which go with them"
    : "lists none of float16 with sums in float32 for subgroups of one size. A device that was made elsewhere does not " +
      "list any: let openGpu({ webgpu }) ask for it";
  return new Error(`Cannot use matrix units: ${description} ${why}`);
}
