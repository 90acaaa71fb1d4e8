/**
 * How a policy may be kept on a device.
 *
 * @module
 */

import type { StoredDType } from "./policy_weights.ts";

/** How a policy is kept on the device. */
export interface PolicyStorageOptions {
  /**
   * How matrices and the cache of keys and values are stored. `"f16"` halves what products and decoding read, and needs
   * no feature of the device; everything is computed in float32, and training keeps float32 weights beside them, which
   * are what is saved. Default `"f32"`.
   */
  dtype?: StoredDType;
  /**
   * Whether it may be trained and saved. Without, a policy in f16 has no float32 weights and takes 2 bytes per weight
   * instead of 6. Default `true`.
   */
  trainable?: boolean;
}
