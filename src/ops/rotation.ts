/**
 * How far rotary position embedding turns each pair of a head's dimensions per position, in float64 on the host.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";

/** All pairs turn `factor` times slower, so that positions up to `factor` times further are of a known kind. */
export interface LinearRopeScaling {
  /** Which scaling this is. */
  readonly ropeType: "linear";
  /** At least 1. */
  readonly factor: number;
}

/** Slow pairs turn `factor` times slower, fast ones as ever, and those between by a share of both (Llama 3.1). */
export interface Llama3RopeScaling {
  /** Which scaling this is. */
  readonly ropeType: "llama3";
  /** At least 1. */
  readonly factor: number;
  /** Pairs that turn less often than this in the original context are slow. */
  readonly lowFreqFactor: number;
  /** Pairs that turn more often than this in the original context are fast; above `lowFreqFactor`. */
  readonly highFreqFactor: number;
  /** Positions of the original context. */
  readonly originalMaxPositionEmbeddings: number;
}

/** What stretches a rotation beyond the positions it was first trained with. */
export type RopeScaling = LinearRopeScaling | Llama3RopeScaling;

/** How queries and keys turn with their position. */
export interface Rotation {
  /** Base of the frequencies, above 1. */
  readonly theta: number;
  /** Default: none. */
  readonly scaling?: RopeScaling | undefined;
}

/**
 * The angle by which each pair of dimensions turns per position.
 *
 * @param headDim Head size D.
 * @param rotation Base and scaling.
 * @returns (D / 2) radians: `theta^(-2d/D)` for pair d, scaled.
 * @throws {RangeError} If theta is not above 1: the slowest pair must turn less than once per position.
 * @see {@link https://arxiv.org/abs/2104.09864} The rotation.
 * @see {@link https://arxiv.org/abs/2306.15595} Linear scaling ("position interpolation").
 * @see {@link https://arxiv.org/abs/2407.21783} Llama 3.
 */
export function rotationAngles(headDim: number, rotation: Rotation): Float64Array {
  checkNames("A rotation", rotation, ["theta", "scaling"]);
  const { theta, scaling } = rotation;
  if (!(theta > 1 && Number.isFinite(theta))) {
    throw new RangeError(`theta must be a finite number above 1: current value is ${theta}`);
  }
  return Float64Array.from(
    { length: headDim / 2 },
    (_, pair) => scaled(theta ** (-2 * pair / headDim), scaling),
  );
}

function scaled(angle: number, scaling: RopeScaling | undefined): number {
  if (scaling === undefined) return angle;
  if (scaling.ropeType === "linear") return angle / scaling.factor;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling;
  const turns = originalMaxPositionEmbeddings * angle / (2 * Math.PI);
  const fast = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  const share = Math.min(1, Math.max(0, fast));
  return share * angle + (1 - share) * angle / factor;
}
