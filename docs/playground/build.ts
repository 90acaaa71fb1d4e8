/**
 * Puts the page together: dist/playground/ can be served by anything.
 *
 * @module
 */

const SOURCE = new URL("./", import.meta.url).pathname;
const TARGET = new URL("../../dist/playground/", import.meta.url).pathname;

/**
 * Bundles the page's script with the library and its kernels, and writes it beside the page.
 *
 * @returns The files by name.
 * @throws {Error} If the bundle cannot be made.
 */
export async function buildPlayground(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  await Deno.mkdir(TARGET, { recursive: true });
  const { success, stderr } = await new Deno.Command("deno", {
    args: ["bundle", "--quiet", "--platform", "browser", "--minify"]
      .concat(["--output", `${TARGET}page.js`, `${SOURCE}page.js`]),
  }).output();
  if (!success) {
    throw new Error(`The page was not bundled: ${new TextDecoder().decode(stderr)}`);
  }
  for (const name of ["index.html", "style.css"]) await Deno.copyFile(SOURCE + name, TARGET + name);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of ["index.html", "style.css", "page.js"]) {
    files.set(name, await Deno.readFile(TARGET + name));
  }
  return files;
}
