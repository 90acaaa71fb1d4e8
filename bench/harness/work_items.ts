/**
 * Work that several engines can be asked to do, as plain data.
 *
 * @module
 */

/** out (M, N) = op(a) · op(b): `nt` has b stored (N, K), `tn` has a stored (K, M). */
export interface MatmulItem {
  readonly kind: "matmul";
  readonly layout: "nn" | "nt" | "tn";
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** Softmax over rows. */
export interface SoftmaxItem {
  readonly kind: "softmax";
  readonly rows: number;
  readonly columns: number;
}

/** The sum of n numbers. */
export interface SumItem {
  readonly kind: "sum";
  readonly n: number;
}

/** Sizes of a GPT. */
export interface GptShape {
  /** C. */
  readonly width: number;
  /** Decoder layers. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** V. */
  readonly vocabulary: number;
}

/**
 * One optimizer step of a small GPT on `batch` sequences of `context` tokens: forward, backward, Adam, f32.
 *
 * The GPT is pre-norm, without biases, with a feed-forward of 4 C and a tied head.
 */
export interface StepItem extends GptShape {
  readonly kind: "step";
  readonly batch: number;
  readonly context: number;
}

/** One more token for each of `sequences` sequences, whose full length is `context`; sampling included. */
export interface GenerateItem extends GptShape {
  readonly kind: "generate";
  readonly sequences: number;
  /** Tokens of each prompt. */
  readonly prompt: number;
  /** Prompt and completion. */
  readonly context: number;
}

/** Any of them. */
export type Item = MatmulItem | SoftmaxItem | SumItem | StepItem | GenerateItem;

/** A name for tables. */
export function itemName(item: Item): string {
  switch (item.kind) {
    case "matmul":
      return `matmul ${item.layout} ${item.m} x ${item.k} x ${item.n}`;
    case "softmax":
      return `softmax ${item.rows} x ${item.columns}`;
    case "sum":
      return `sum of ${item.n / 2 ** 20} M`;
    case "step":
      return `training step, d ${item.width}, ${item.layers} layers, ${item.batch} x ${item.context}`;
    case "generate":
      return `${
        item.context - item.prompt
      } tokens for ${item.sequences} sequences, d ${item.width}`;
  }
}

/** Values that every engine fills its inputs with: `n` numbers in [-1, 1). */
export function inputValues(n: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n);
  let state = 1;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  return values;
}

/** `n` token ids below V. */
export function inputTokens(n: number, vocabulary: number): number[] {
  return Array.from(inputValues(n), (value) => Math.floor((value + 1) / 2 * vocabulary));
}

/** How many results of an item are compared between engines. */
export const COMPARED = 16;
