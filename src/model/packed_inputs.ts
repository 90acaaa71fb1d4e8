/**
 * The device side of a packed batch: the tensors a plan reads, and filling them before a run.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { Dim, type Size, type Tensor } from "../gpu/tensor.ts";
import { type EmbeddingIndex, embeddingIndex } from "../ops/embedding.ts";
import type { PackedLayout } from "../ops/packed_layout.ts";
import { sideBySide } from "../ops/side_by_side.ts";
import { type PackedBatch, packGroups, type PromptGroup } from "./packing.ts";

/** Inputs of a plan that runs over packed tokens. */
export class PackedInputs {
  /** T, the number of packed tokens. */
  readonly tokenCount: Dim;
  /** N, the number of scored items. */
  readonly items: Dim;
  /** S, the number of responses with scored items. */
  readonly responses: Dim;
  /** P, the number of prompts. */
  readonly prompts: Dim;
  /** Token ids (T). */
  readonly tokens: Tensor;
  /** What attention needs to know. */
  readonly layout: PackedLayout;
  /** What the embedding's gradient needs to know. */
  readonly embedding: EmbeddingIndex;
  /** (T + 1). */
  readonly rowOffsets: Tensor;
  /** (N). */
  readonly rowItems: Tensor;
  /** (N). */
  readonly itemTargets: Tensor;
  /** (N). */
  readonly itemSequences: Tensor;
  /** (N). */
  readonly itemPositions: Tensor;
  /** (S, 2): first and past-the-last item. */
  readonly itemRanges: Tensor;
  /** (P). */
  readonly lastPromptRows: Tensor;

  readonly #plan: Plan;
  readonly #frozenToken: number | undefined;
  readonly #tile: number;

  /**
   * Declares the inputs on a plan.
   *
   * @param plan The plan that will read them.
   * @param maxTokens The most packed tokens of one run; also bounds segments, tiles and items.
   * @param options `maxPrompts`: the most prompts of one run, by default as many as tokens. `frozenToken`: an id whose
   * embedding gets no gradient: the policy's `padTokenId`, as in transformers, where it is the embedding's `padding_idx`.
   */
  constructor(
    plan: Plan,
    maxTokens: number,
    options: { readonly maxPrompts?: number; readonly frozenToken?: number | undefined } = {},
  ) {
    checkNames("PackedInputs", options, ["maxPrompts", "frozenToken"]);
    const { maxPrompts = maxTokens, frozenToken } = options;
    this.#plan = plan;
    this.#frozenToken = frozenToken;
    this.#tile = plan.gpu.traits.attentionTile;
    const dim = (name: string) => new Dim(name, maxTokens);
    const ids = (shape: readonly Size[], name: string) => plan.input(shape, name, "u32");
    this.tokenCount = dim("tokens");
    this.items = dim("items");
    this.responses = dim("responses");
    this.prompts = new Dim("prompts", maxPrompts);
    this.tokens = ids([this.tokenCount], "tokens");
    this.layout = {
      positions: ids([this.tokenCount], "positions"),
      segments: ids([maxTokens, 5], "segments"),
      tiles: ids([maxTokens, 2], "tiles"),
      tileCount: dim("tiles"),
      pairs: new Dim("pairs", maxTokens * (maxTokens + 1) / 2),
    };
    this.embedding = {
      order: ids([this.tokenCount], "embedding.order"),
      chunks: ids([maxTokens, 2], "embedding.chunks"),
      chunkCount: dim("chunks"),
      runs: ids([maxTokens, 3], "embedding.runs"),
      runCount: dim("runs"),
    };
    this.rowOffsets = ids([maxTokens + 1], "row_offsets");
    this.rowItems = ids([this.items], "row_items");
    this.itemTargets = ids([this.items], "item_targets");
    const { itemSequences, itemPositions } = sideBySide(
      ["itemSequences", "itemPositions"],
      this.items,
      (shape) => ids(shape, "item_places"),
    );
    this.itemSequences = itemSequences;
    this.itemPositions = itemPositions;
    this.itemRanges = ids([this.responses, 2], "item_ranges");
    this.lastPromptRows = ids([this.prompts], "last_prompt_rows");
  }

  /**
   * Packs groups and uploads what the plan reads of them.
   *
   * @returns The packed arrays.
   */
  upload(groups: readonly PromptGroup[]): PackedBatch {
    const packed = packGroups(groups, this.#tile);
    this.tokenCount.value = packed.tokens.length;
    this.items.value = packed.itemTargets.length;
    this.responses.value = packed.itemRanges.length / 2;
    this.prompts.value = packed.lastPromptRows.length;
    this.layout.tileCount.value = packed.tiles.length / 2;
    // A token attends to every position up to its own.
    this.layout.pairs.value = packed.positions.reduce((n, position) => n + position + 1, 0);
    const { gpu } = this.#plan;
    if (this.#isRead(this.embedding.order)) {
      const { order, chunks, runs } = embeddingIndex(packed.tokens, this.#frozenToken);
      this.embedding.chunkCount.value = chunks.length / 2;
      this.embedding.runCount.value = runs.length / 3;
      gpu.write(this.embedding.order, order);
      gpu.write(this.embedding.chunks, chunks);
      gpu.write(this.embedding.runs, runs);
    }
    for (
      const [tensor, values] of [
        [this.tokens, packed.tokens],
        [this.layout.positions, packed.positions],
        [this.layout.segments, packed.segments],
        [this.layout.tiles, packed.tiles],
        [this.rowOffsets, packed.rowOffsets],
        [this.rowItems, packed.rowItems],
        [this.itemTargets, packed.itemTargets],
        [this.itemSequences, packed.itemSequences],
        [this.itemPositions, packed.itemPositions],
        [this.itemRanges, packed.itemRanges],
        [this.lastPromptRows, packed.lastPromptRows],
      ] as const
    ) {
      if (this.#isRead(tensor)) gpu.write(tensor, values);
    }
    return packed;
  }

  /** Whether any dispatch of the plan binds the tensor; the others never leave the host. */
  #isRead(tensor: Tensor): boolean {
    return this.#plan.binds(tensor);
  }
}
