/**
 * The model families: what their layers are like, and what a config.json means where it leaves a setting out.
 *
 * @module
 */

/** Which Hugging Face architecture a policy is, as `model_type` in config.json. */
export type ModelType = "qwen2" | "qwen3" | "llama" | "mistral" | "smollm3";

/** One family, as transformers has it. */
export interface Family {
  /** Its name in `architectures`. */
  readonly architecture: string;
  /** Whether the q, k and v projections have a bias. */
  readonly attentionBias: boolean;
  /** Whether every query and key head is normalised. */
  readonly normedHeads: boolean;
  /** Whether its config.json can name layers without rotation. */
  readonly unrotatedLayers: boolean;
  /** What its config.json means by leaving a setting out. */
  readonly defaults: {
    readonly maxPositionEmbeddings: number;
    readonly ropeTheta: number;
    readonly tieWordEmbeddings: boolean;
    readonly headDim?: number;
    readonly slidingWindow: number | null;
  };
}

/** Of transformers 5.18. */
export const FAMILIES: Readonly<Record<ModelType, Family>> = {
  qwen2: {
    architecture: "Qwen2ForCausalLM",
    attentionBias: true,
    normedHeads: false,
    unrotatedLayers: false,
    defaults: {
      maxPositionEmbeddings: 32768,
      ropeTheta: 10000,
      tieWordEmbeddings: false,
      slidingWindow: 4096,
    },
  },
  qwen3: {
    architecture: "Qwen3ForCausalLM",
    attentionBias: false,
    normedHeads: true,
    unrotatedLayers: false,
    defaults: {
      maxPositionEmbeddings: 32768,
      ropeTheta: 10000,
      tieWordEmbeddings: false,
      headDim: 128,
      slidingWindow: 4096,
    },
  },
  llama: {
    architecture: "LlamaForCausalLM",
    attentionBias: false,
    normedHeads: false,
    unrotatedLayers: false,
    defaults: {
      maxPositionEmbeddings: 2048,
      ropeTheta: 10000,
      tieWordEmbeddings: false,
      slidingWindow: null,
    },
  },
  mistral: {
    architecture: "MistralForCausalLM",
    attentionBias: false,
    normedHeads: false,
    unrotatedLayers: false,
    defaults: {
      maxPositionEmbeddings: 131072,
      ropeTheta: 10000,
      tieWordEmbeddings: false,
      slidingWindow: 4096,
    },
  },
  smollm3: {
    architecture: "SmolLM3ForCausalLM",
    attentionBias: false,
    normedHeads: false,
    unrotatedLayers: true,
    defaults: {
      maxPositionEmbeddings: 32768,
      ropeTheta: 2000000,
      tieWordEmbeddings: true,
      slidingWindow: null,
    },
  },
};

/** Every {@linkcode ModelType}. */
export const MODEL_TYPES: readonly ModelType[] = Object.keys(FAMILIES) as ModelType[];

/** The names of the families that fit, for messages: `"llama" or "mistral"`. */
export function familiesWith(fits: (family: Family) => boolean): string {
  return MODEL_TYPES.filter((type) => fits(FAMILIES[type])).map((type) => `"${type}"`).join(" or ");
}
