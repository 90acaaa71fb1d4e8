/**
 * The rotation in a config.json: `rope_theta` and `rope_scaling`, or `rope_parameters` since transformers 5.
 *
 * @module
 */

import { isJsonObject } from "../files/json_file.ts";
import type { RopeScaling, Rotation } from "../ops/rotation.ts";
import { type HuggingFaceConfig, readNumber, refuse } from "./hf_fields.ts";

/** What stretches positions in ways that are not supported, and what to do about it. */
const NOT_SUPPORTED: Readonly<Record<string, string>> = {
  yarn: 'only "default", "linear" and "llama3" are; where the model was trained without YaRN, as ' +
    "Qwen's are, set rope_scaling to null and max_position_embeddings to the original length",
  dynamic: 'only "default", "linear" and "llama3" are; it changes nothing up to the original ' +
    "length, so set rope_scaling to null and max_position_embeddings to that length",
  longrope: 'only "default", "linear" and "llama3" are; use a model without it',
};

/**
 * Reads the rotation of a config.json from wherever its writer put it.
 *
 * @param json The config.json.
 * @param defaultTheta Base of a family whose config.json says none.
 * @throws {TypeError | RangeError} Naming what is malformed, unsupported or contradictory.
 */
export function readRotation(json: HuggingFaceConfig, defaultTheta: number): Rotation {
  const thetas = new Map<string, number>();
  const scalings = new Map<string, RopeScaling | undefined>();
  if (json.rope_theta != null) thetas.set("rope_theta", readNumber(json, "rope_theta"));
  for (const field of ["rope_parameters", "rope_scaling"]) {
    const rope = json[field];
    if (rope === undefined || rope === null) continue;
    if (!isJsonObject(rope)) refuse(field, rope, "null or an object with a rope_type is");
    // One entry per kind of layer is a way to give the kinds different rotations.
    if (Object.values(rope).some(isJsonObject)) {
      refuse(field, rope, "one rotation for all layers is");
    }
    if (rope.partial_rotary_factor != null && rope.partial_rotary_factor !== 1) {
      refuse(`${field}.partial_rotary_factor`, rope.partial_rotary_factor, "1 is");
    }
    if (rope.rope_theta != null) thetas.set(`${field}.rope_theta`, readNumber(rope, "rope_theta"));
    scalings.set(field, readScaling(json, field, rope));
  }
  agree([...thetas]);
  agree([...scalings]);
  const theta = [...thetas.values()][0] ?? defaultTheta;
  const scaling = [...scalings.values()][0];
  return { theta, ...(scaling && { scaling }) };
}

function readScaling(
  json: HuggingFaceConfig,
  field: string,
  rope: HuggingFaceConfig,
): RopeScaling | undefined {
  const type = rope.rope_type ?? rope.type ?? "default";
  const number = (name: string, fallback?: number) =>
    readNumber(rope, name, { fallback, in: field });
  switch (type) {
    case "default":
      return undefined;
    case "linear":
      return { ropeType: "linear", factor: number("factor") };
    case "llama3":
      return {
        ropeType: "llama3",
        factor: number("factor"),
        lowFreqFactor: number("low_freq_factor"),
        highFreqFactor: number("high_freq_factor"),
        // As transformers does where it is missing.
        originalMaxPositionEmbeddings: number(
          "original_max_position_embeddings",
          json.max_position_embeddings as number | undefined,
        ),
      };
    default: {
      const known = NOT_SUPPORTED[type === "su" ? "longrope" : String(type)];
      refuse(`${field}.rope_type`, type, known ?? 'only "default", "linear" and "llama3" are');
    }
  }
}

/** Refuses what is said in two places in two ways. */
function agree(found: readonly (readonly [string, unknown])[]): void {
  const [first, ...others] = found;
  for (const [field, value] of others) {
    if (JSON.stringify(value) !== JSON.stringify(first![1])) {
      throw new RangeError(
        `config.json: ${field} is ${JSON.stringify(value ?? null)} but ${first![0]} is ` +
          `${JSON.stringify(first![1] ?? null)}: make them agree`,
      );
    }
  }
}

/**
 * The rotation for a config.json: `rope_theta` and `rope_scaling` for every reader there has been,
 * `rope_parameters` for transformers 5.
 */
export function rotationFields({ theta, scaling }: Rotation): HuggingFaceConfig {
  const said = scaling === undefined
    ? { rope_type: "default" }
    : scaling.ropeType === "linear"
    ? { rope_type: scaling.ropeType, factor: scaling.factor }
    : {
      rope_type: scaling.ropeType,
      factor: scaling.factor,
      low_freq_factor: scaling.lowFreqFactor,
      high_freq_factor: scaling.highFreqFactor,
      original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
    };
  return {
    rope_theta: theta,
    rope_scaling: scaling === undefined ? null : said,
    rope_parameters: { rope_theta: theta, ...said },
  };
}
