/**
 * How many lanes work on a row.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";

/** The lanes that work together on a row: a workgroup. */
export interface Team {
  /** How many. */
  readonly lanes: number;
  /** Whether they are a subgroup; else they share workgroup memory. */
  readonly subgroups: boolean;
}

/**
 * A lane does not walk further than this: more numbers added up one after the other lose digits that are promised, and much
 * longer walks are not finished by every driver.
 */
export const LONGEST_WALK = 2 ** 11;

/** Lanes for rows that are too long for the usual ones: as many as WebGPU promises. */
const WIDE_TEAM: Team = { lanes: 256, subgroups: false };

/**
 * Chooses who works on a row.
 *
 * @param elements What the lanes visit in turns.
 */
export function teamFor(gpu: Gpu, elements: number): Team {
  const usual = gpu.traits;
  return elements <= usual.lanes * LONGEST_WALK || usual.lanes >= WIDE_TEAM.lanes
    ? usual
    : WIDE_TEAM;
}
