/**
 * Where commands write.
 *
 * @module
 */

/** Folder that runs, warm starts and tuned kernels lie in. */
export const RUNS = "runs";
