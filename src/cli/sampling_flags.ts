/**
 * Flags of what may be sampled, for commands that look at a checkpoint.
 *
 * @module
 */

import { SETTINGS } from "../rl/settings.ts";
import { numberFlag } from "./args.ts";

/** Without them the run's settings count; folders that are no run's have none, whatever their generation_config.json says. */
export const TRUNCATION_FLAGS = {
  topK: numberFlag(SETTINGS.topK, SETTINGS.topK.help, "the run's, 0"),
  topP: numberFlag(SETTINGS.topP, SETTINGS.topP.help, "the run's, 1"),
  minP: numberFlag(SETTINGS.minP, SETTINGS.minP.help, "the run's, 0"),
};
