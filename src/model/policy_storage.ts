/**
 * How a policy may be kept on a device.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import type { StoredDType } from "./policy_weights.ts";

/** How a policy is kept on the device. */
export interface PolicyStorageOptions {
  /**
   * How matrices are stored. `"f16"` and `"bf16"` halve what products read, and need no feature of the device; everything
   * is computed in float32, and training keeps float32 weights beside them, which are what is saved. `"bf16"` is what most
   * checkpoints are in: those are held as they are. Default `"f32"`.
   */
  dtype?: StoredDType | undefined;
  /**
   * How keys and values are cached. In 16 bits they take half the memory; training rounds them alike, so that it sees the
   * log-probabilities that were sampled from. `"f16"` is exact to 2^-11 of a number up to 65504, `"bf16"` to 2^-8. Default:
   * `dtype`.
   */
  cacheDtype?: StoredDType | undefined;
  /**
   * Whether it may be trained. Without, a policy in 16 bits has no float32 weights and takes 2 bytes per weight instead of
   * 6; it is saved in 16 bits then. Default `true`.
   */
  trainable?: boolean;
}

/** How matrices and the cache are stored. */
export interface Stored {
  /** The matrices. */
  readonly dtype: StoredDType;
  /** The cache. */
  readonly cacheDtype: StoredDType;
}

/** How they are where not everything was said. */
export function storageOf(
  { dtype = "f32", cacheDtype = dtype }: PolicyStorageOptions = {},
): Stored {
  return { dtype, cacheDtype };
}

/** Every option of {@linkcode PolicyStorageOptions}. */
export const STORAGE_OPTIONS: readonly string[] = namesOf<PolicyStorageOptions>({
  dtype: true,
  cacheDtype: true,
  trainable: true,
});

/** As little of it as says the same. */
export function shortStorage({ dtype, cacheDtype }: Stored): Partial<Stored> {
  return cacheDtype === dtype ? { dtype } : { dtype, cacheDtype };
}
