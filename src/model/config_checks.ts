/**
 * The checks of a policy's configuration, field by field.
 *
 * @module
 */

import type { RopeScaling } from "../ops/rotation.ts";

/** Largest accepted sizes: beyond them a field is more likely a mistake than a model. */
const LIMITS = {
  vocabSize: 2 ** 20,
  hiddenSize: 2 ** 16,
  intermediateSize: 2 ** 18,
  numHiddenLayers: 1024,
  numAttentionHeads: 1024,
  numKeyValueHeads: 1024,
  headDim: 1024,
  // Positions are float32 on the GPU, exact up to here.
  maxPositionEmbeddings: 2 ** 24,
} as const;

/** `value` as it should appear in a message. */
export function show(value: unknown): string {
  return typeof value === "string" || (typeof value === "object" && value !== null)
    ? JSON.stringify(value)
    : String(value);
}

/** A whole number from 1 to the field's limit. */
export function checkSize(field: keyof typeof LIMITS, value: unknown): number {
  const limit = LIMITS[field];
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > limit) {
    throw new RangeError(`${field} is ${show(value)}: give a whole number from 1 to ${limit}`);
  }
  return value as number;
}

/** A finite number above `least`. */
export function checkAbove(field: string, value: unknown, least = 0): number {
  if (typeof value !== "number" || !(value > least) || !Number.isFinite(value)) {
    throw new RangeError(`${field} is ${show(value)}: give a finite number above ${least}`);
  }
  return value;
}

/** `true` or `false`. */
export function checkBoolean(field: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`${field} is ${show(value)}: give true or false`);
  }
  return value;
}

/** An id of the vocabulary. */
export function checkTokenId(field: string, value: unknown, vocabSize: number): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= vocabSize) {
    throw new RangeError(
      `${field} is ${show(value)}: give a token id from 0 to ${vocabSize - 1} (vocabSize - 1)`,
    );
  }
  return value as number;
}

/** An id of the vocabulary, or a list of them. */
export function checkEosTokenId(value: unknown, vocabSize: number): number | readonly number[] {
  if (!Array.isArray(value)) return checkTokenId("eosTokenId", value, vocabSize);
  if (value.length === 0) {
    throw new RangeError("eosTokenId is []: give at least one token id, or leave it out");
  }
  return value.map((id, i) => checkTokenId(`eosTokenId[${i}]`, id, vocabSize));
}

/** One flag per layer; `undefined` where all of them are set. */
export function checkRotatedLayers(value: unknown, layers: number): readonly boolean[] | undefined {
  if (!Array.isArray(value) || value.length !== layers) {
    throw new RangeError(
      `rotatedLayers is ${show(value)}: give a list of ${layers} flags (numHiddenLayers)`,
    );
  }
  const flags = value.map((flag, i) => checkBoolean(`rotatedLayers[${i}]`, flag));
  return flags.every(Boolean) ? undefined : flags;
}

const SCALING_FIELDS: Readonly<Record<RopeScaling["ropeType"], readonly string[]>> = {
  linear: ["factor"],
  llama3: ["factor", "lowFreqFactor", "highFreqFactor", "originalMaxPositionEmbeddings"],
};

/** A {@linkcode RopeScaling}, complete and without anything else. */
export function checkRopeScaling(value: unknown): RopeScaling {
  const { ropeType, ...rest } = (value ?? {}) as Record<string, unknown>;
  const fields = SCALING_FIELDS[ropeType as RopeScaling["ropeType"]];
  if (fields === undefined) {
    throw new RangeError(
      `ropeScaling is ${show(value)}: give a ropeType of ${Object.keys(SCALING_FIELDS).join(", ")}`,
    );
  }
  const other = Object.keys(rest).find((field) => !fields.includes(field));
  if (other !== undefined) {
    throw new TypeError(
      `ropeScaling.${other} is not a field of ${ropeType} scaling: fields are ${fields.join(", ")}`,
    );
  }
  for (const field of fields) checkAbove(`ropeScaling.${field}`, rest[field]);
  const { factor, lowFreqFactor, highFreqFactor } = rest as Record<string, number>;
  if (!(factor! >= 1)) {
    throw new RangeError(`ropeScaling.factor is ${factor}: give a number of at least 1`);
  }
  if (ropeType === "llama3") {
    checkAbove("ropeScaling.highFreqFactor", highFreqFactor, lowFreqFactor);
  }
  return value as RopeScaling;
}
