/**
 * `deno task pack [folder]`: the library as a package for npm, in dist/ or the folder given.
 *
 * Plain modules with the kernels in them, and types: what Node, esbuild and Vite take without a plugin. Commands and
 * `@deltal/deltal/lab` are Deno's own.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url).pathname;

/** Entry points, as deno.json names them. */
const ENTRIES = [".", "./engine", "./text"];

/** Writes types. Not imported by a literal: what deno.lock lists is fetched by every `deno task`. */
export const TYPESCRIPT = "npm:typescript@5.9.3";

async function run(command: string, args: readonly string[], cwd = ROOT): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd })
    .output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${command} ${args[0]} failed:\n${new TextDecoder().decode(stderr)}`);
}

/** Modules of ours that an entry point reaches, as paths from the root. */
async function modulesOf(entry: string): Promise<string[]> {
  const graph = JSON.parse(await run("deno", ["info", "--json", entry]));
  const root = `file://${ROOT}`;
  return graph.modules.map(({ specifier }: { specifier: string }) => specifier)
    .filter((specifier: string) => specifier.startsWith(root) && specifier.endsWith(".ts"))
    .map((specifier: string) => specifier.slice(root.length));
}

/** Writes what a module declares; what it imports is found beside it. */
async function writeTypes(paths: Iterable<string>, folder: string): Promise<void> {
  const { default: ts } = await import(TYPESCRIPT);
  for (const path of paths) {
    const source = await Deno.readTextFile(ROOT + path);
    const { outputText } = ts.transpileDeclaration(source, { fileName: path });
    const types = outputText.replace(/(["']\.{1,2}\/[^"']+)\.ts(["'])/g, "$1.js$2");
    const target = `${folder}/${path.replace(/\.ts$/, ".d.ts")}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(target, types);
  }
}

/**
 * Makes the package.
 *
 * @param folder Where to put it.
 * @returns The path of the archive, as `npm install` takes it.
 * @throws {Error} If a tool that is needed fails.
 */
export async function pack(folder: string): Promise<string> {
  const settings = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const { name, version, license } = settings;
  const paths = ENTRIES.map((entry): string => settings.exports[entry].slice("./".length));
  const home = `${folder}/npm`;
  await Deno.mkdir(home, { recursive: true });
  await run("deno", [
    "bundle",
    "--quiet",
    "--platform=browser",
    "--code-splitting",
    `--outdir=${home}`,
    ...paths,
  ]);
  await writeTypes(new Set((await Promise.all(paths.map(modulesOf))).flat()), home);
  const exports = Object.fromEntries(ENTRIES.map((entry, i) => {
    const path = `./${paths[i]!.replace(/\.ts$/, "")}`;
    return [entry, { types: `${path}.d.ts`, default: `${path}.js` }];
  }));
  const described = { name, version, license, type: "module", exports, sideEffects: false };
  await Deno.writeTextFile(
    `${home}/package.json`,
    JSON.stringify({ ...described, engines: { node: ">=20.16" } }, null, 2),
  );
  for (const file of ["README.md", "LICENSE"]) await Deno.copyFile(ROOT + file, `${home}/${file}`);
  const [{ filename }] = JSON.parse(
    await run("npm", ["pack", "--json", `--pack-destination=${folder}`], home),
  );
  return `${folder}/${filename}`;
}

if (import.meta.main) {
  const folder = Deno.args[0] ?? `${ROOT}dist`;
  await Deno.mkdir(folder, { recursive: true });
  console.log(await pack(await Deno.realPath(folder)));
}
