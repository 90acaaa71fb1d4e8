/**
 * What the playground does, in Deno: `page_session.js FILE DEMONSTRATION_STEPS STEPS` writes the weights it ends with.
 *
 * @module
 */

import { openGpu } from "../../mod.ts";
import { Session } from "../../docs/playground/session.js";

const [path, warm, maxSteps] = Deno.args;
const gpu = await openGpu();
const session = new Session(gpu, "parity");
for await (const _ of session.fit(Number(warm)));
const settings = { maxSteps: Number(maxSteps), learningRate: 5e-4 };
const rule = { lossAggregation: "deltaL", lossAlpha: 1 };
for await (const _ of session.train({ ...settings, ...rule }));
await Deno.writeFile(path, await session.save());
session.destroy();
await gpu.close();
