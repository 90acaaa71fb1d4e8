/**
 * Where a parameter lies among others.
 *
 * @module
 */

/** Where a Hugging Face tensor lies in the flat buffers. */
export interface ParameterRange {
  /** Its shape. */
  readonly shape: readonly number[];
  /** Its first element. */
  readonly offset: number;
  /** Its number of elements. */
  readonly length: number;
}
