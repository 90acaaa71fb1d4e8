/** Test files that share a device, as `tests/run.ts` gives them: in one process each kernel is compiled once. */

import { pathToFileURL } from "node:url";
import "./helpers/one_device.ts";

for (const path of Deno.args) await import(pathToFileURL(path).href);
