/**
 * A stand-in for jsr.io that offers this package as it would be published: exactly the files that
 * `deno publish` lists, with their checksums. Prints its address and serves until it is ended.
 *
 * The only argument is an empty folder for these files.
 */

import { pathToFileURL } from "node:url";
import { writeForJsr } from "../../docs/jsr/publish.ts";

const [folder] = Deno.args;
await writeForJsr(folder!);
const ROOT = pathToFileURL(`${await Deno.realPath(folder!)}/`);

/** Files that would be published, as paths from the root. */
async function publishedFiles(): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(output);
  return [...output.matchAll(/^\s+(file:\S+) \(/gm)]
    .map((match) => match[1]!.slice(ROOT.href.length));
}

const { name, version, exports, imports } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", ROOT)),
);

/** A module as publishing rewrites it: names of the import map are replaced by what they stand for. */
function unfurled(source: string): string {
  return source.replace(
    /(\bfrom\s+|\bimport\s+|\bimport\()"([^"]+)"/g,
    (statement, before: string, specifier: string) =>
      Object.hasOwn(imports, specifier) ? `${before}"${imports[specifier]}"` : statement,
  );
}

const files = new Map<string, Uint8Array<ArrayBuffer>>();
const manifest: Record<string, { size: number; checksum: string }> = {};
for (const path of await publishedFiles()) {
  const source = await Deno.readTextFile(new URL(path, ROOT));
  const bytes = new TextEncoder().encode(path.endsWith(".ts") ? unfurled(source) : source);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  files.set(`/${path}`, bytes);
  manifest[`/${path}`] = { size: bytes.length, checksum: `sha256-${digest.toHex()}` };
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`http://127.0.0.1:${port}/`),
}, (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === `/${name}/meta.json`) {
    return Response.json({ latest: version, versions: { [version]: {} } });
  }
  if (pathname === `/${name}/${version}_meta.json`) return Response.json({ manifest, exports });
  const bytes = files.get(pathname.slice(`/${name}/${version}`.length));
  return bytes && pathname.startsWith(`/${name}/${version}/`)
    ? new Response(bytes)
    : new Response(`${pathname} is not here`, { status: 404 });
});
