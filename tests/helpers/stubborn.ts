/** A program that a first Ctrl-C asks to stop and that then computes on for a minute. */

import { Interrupt } from "../../src/cli/interrupt.ts";

console.error(`pid ${Deno.pid}`);
using interrupt = new Interrupt(() => console.error("first"));
console.error("ready");
while (!await interrupt.requested());
console.error("computing");
// Without returning to the event loop, as a long step does.
const end = Date.now() + 60_000;
while (Date.now() < end);
console.error("finished");
