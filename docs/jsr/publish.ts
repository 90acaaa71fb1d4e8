/**
 * `deno task publish [flags of deno publish]`: publishes the package to JSR, or only tries to with `--dry-run`.
 *
 * JSR's own analysis knows no text imports (as of August 2026), nor does Node, to which JSR hands the same modules. So what is
 * published has each kernel, and whatever else is imported as text, as a module of one string; nothing else differs from the sources.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url).pathname;

/** What is imported as text. */
const TEXT_IMPORT = /"([^"]+)" with \{ type: "text" \}/g;

async function* filesBelow(path: string): AsyncGenerator<string> {
  if ((await Deno.stat(ROOT + path)).isFile) return yield path;
  for await (const { name } of Deno.readDir(ROOT + path)) {
    yield* filesBelow(`${path.replace(/\/$/, "")}/${name}`);
  }
}

/**
 * Writes what is published.
 *
 * @param folder Where to; has to be there.
 */
export async function writeForJsr(folder: string): Promise<void> {
  const settings = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const { name, version, license, exports, publish, imports, compilerOptions } = settings;
  const write = async (path: string, text: string) => {
    await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${folder}/${path}`, text);
  };
  for (const included of publish.include) {
    for await (const path of filesBelow(included)) {
      const text = await Deno.readTextFile(ROOT + path);
      if (path.endsWith(".ts")) {
        await write(path, text.replace(TEXT_IMPORT, '"$1.ts"'));
      } else if (/^(?:kernels|src)\//.test(path)) {
        const value = JSON.stringify(text);
        await write(`${path}.ts`, `const text: string = ${value};\nexport default text;\n`);
      } else {
        await write(path, text);
      }
    }
  }
  const own = { name, version, license, exports, publish, imports, compilerOptions };
  await write("deno.json", JSON.stringify(own, null, 2) + "\n");
}

if (import.meta.main) {
  const folder = await Deno.makeTempDir();
  try {
    await writeForJsr(folder);
    const { code } = await new Deno.Command("deno", {
      args: ["publish", ...Deno.args],
      cwd: folder,
    }).spawn().status;
    Deno.exitCode = code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
