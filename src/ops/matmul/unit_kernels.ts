/**
 * The kernels of matrix products for matrix units: for each unit that the device offers one per tile.
 *
 * @module
 */

import code from "../../../kernels/matmul/units.wgsl" with { type: "text" };
import type { MatrixUnit } from "../../gpu/matrix_units.ts";
import type { DeviceTraits } from "../../gpu/traits.ts";
import { link } from "../wgsl.ts";
import { accumulates, type ProductKernel, storedDType, transposes, withBias } from "./kernel.ts";
import { builtInTile, fitsFours } from "./tiles.ts";

/** Subgroups of a workgroup. */
const TEAMS = 4;

/** Steps of K in a tile, and loads of four of them. */
const STEPS = 32;
const FOURS = STEPS / 4;

/** Loads between lines of a tile. */
const PAD = 2;

/** Outputs of a subgroup, and how many subgroups are side by side. */
const TILES = [
  { rows: 32, columns: 32, teamsAcross: 2 },
  { rows: 64, columns: 64, teamsAcross: 2 },
  { rows: 16, columns: 32, teamsAcross: 4 },
];

/** Workgroup memory, bytes: a and b in float16, a magnitude and a scale for each line, sums of a unit for each subgroup. */
function workgroupBytes(unit: MatrixUnit, tile: ProductKernel["tile"]): number {
  const fours = (lines: number) => Math.max(lines * (FOURS + PAD), STEPS * (lines / 4 + PAD));
  return 8 * (fours(tile.rows) + fours(tile.columns)) + 8 * (tile.rows + tile.columns) +
    4 * TEAMS * unit.rows * unit.columns;
}

/**
 * The kernels of one unit that fit a device's workgroup memory. Their sums over K have one order, so a row has the same
 * bits whatever the tile.
 *
 * @param unit The unit.
 * @param traits Of the device.
 */
export function unitKernels(unit: MatrixUnit, traits: DeviceTraits): ProductKernel[] {
  const { lanes } = traits;
  return TILES.filter(({ rows }) => rows % unit.rows === 0).map((team): ProductKernel => {
    const [down, across] = [team.rows / unit.rows, team.columns / unit.columns];
    const tile = {
      rows: TEAMS / team.teamsAcross * team.rows,
      columns: team.teamsAcross * team.columns,
    };
    const size = `${unit.rows}x${unit.columns}x${unit.inner}`;
    const loads = (tile.rows + tile.columns) * FOURS / (TEAMS * lanes);
    const multiplying = STEPS / unit.inner * (1 + across + down * (1 + across));
    const own = `// provides: unit
const UNIT_ROWS = ${unit.rows}u;
const UNIT_COLUMNS = ${unit.columns}u;
const UNIT_INNER = ${unit.inner}u;
const DOWN = ${down}u;
const ACROSS = ${across}u;
const TEAMS = ${TEAMS}u;
const TEAMS_ACROSS = ${team.teamsAcross}u;
`;
    return {
      name: `units${size}.tile${tile.rows}`,
      family: `units${size}`,
      fits: (shape) => shape.layout !== "tt" && fitsFours(shape),
      tile,
      time: (shape) => builtInTile(shape) === tile.rows ? 1 : 2,
      turns: (inner) => Math.ceil(inner / STEPS) * Math.ceil(1 + 2 * loads + multiplying),
      cuts: true,
      source: (product) =>
        link(
          {
            name: `matmul/units${size}.tile${tile.rows}`,
            code,
            entryPoint: "units",
            constants: {
              LANES: lanes,
              SCALE_B: storedDType(product) !== "f16",
              ...accumulates(product),
              ...transposes(product),
            },
          },
          { pack: 4, stored: storedDType(product) },
          [own],
        ),
      params: (sizes) => sizes,
      bindings: withBias,
    };
  }).filter(({ tile }) => workgroupBytes(unit, tile) <= traits.workgroupBytes);
}
