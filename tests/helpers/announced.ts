/** The command line, which first tells its process id: between it and a test there may be another process. */

import { main } from "../../src/cli/main.ts";

console.error(`pid ${Deno.pid}`);
Deno.exit(await main(Deno.args));
