/**
 * Names of files, as `node:path` has them.
 *
 * @module
 */

import type { Paths } from "./contract.ts";
import { host } from "./host.ts";

const { paths } = host;

/** Puts parts of a path together. */
export const join: Paths["join"] = paths.join;

/** The folder of a path. */
export const dirname: Paths["dirname"] = paths.dirname;

/** The last name of a path. */
export const basename: Paths["basename"] = paths.basename;

/** The path from the root. */
export const resolve: Paths["resolve"] = paths.resolve;

/** Whether a path begins at the root. */
export const isAbsolute: Paths["isAbsolute"] = paths.isAbsolute;
