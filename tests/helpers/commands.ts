/** Commands one after the other in one process, where each kernel is compiled once; prints what each left behind as JSON. */

import { runInProcess } from "./in_process.ts";

const results = [];
for (const args of JSON.parse(Deno.args[0]!) as string[][]) {
  results.push(await runInProcess(Deno.cwd(), ...args));
}
console.log(JSON.stringify(results));
