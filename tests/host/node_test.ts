/** Files of Node's, held against Deno's, and the words of a page, which has none. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Host } from "../../src/host/contract.ts";
import { host } from "../../src/host/host.ts";
import { nodeHost } from "../../src/host/node.ts";

/** What a host does with files in an empty folder, as texts and numbers. */
async function useFiles({ files, errors, paths, sha256, inspect }: Host, dir: string) {
  const path = paths.join(dir, "a");
  const kindOf = (error: unknown) =>
    Object.entries(errors).find(([, Kind]) => error instanceof Kind)?.[0];
  const failure = (work: Promise<unknown>) => work.then(() => "none", kindOf);
  const seen: unknown[] = [];

  const file = await files.open(path, { read: true, write: true, createNew: true });
  seen.push(await file.write(Uint8Array.of(1, 2, 3, 4)), file.writeSync(Uint8Array.of(5)));
  seen.push(await file.seek(1, 0), file.seekSync(-1, 2), await file.stat().then((s) => s.size));
  const into = new Uint8Array(8);
  await file.seek(1, 0);
  seen.push(await file.read(into), await file.read(into), [...into]);
  file.truncateSync(2);
  await file.sync();
  file.syncSync();
  file.close();
  seen.push([...await files.readFile(path)], [...files.readFileSync(path)]);

  await files.mkdir(paths.join(dir, "b", "c"), { recursive: true });
  await files.rename(path, paths.join(dir, "b", "d"));
  const entries = [];
  for await (const { name, isFile, isDirectory } of files.readDir(paths.join(dir, "b"))) {
    entries.push({ name, isFile, isDirectory });
  }
  seen.push(entries.sort((a, b) => a.name < b.name ? -1 : 1));
  seen.push([...files.readDirSync(dir)].map(({ name }) => name));
  seen.push((await files.stat(paths.join(dir, "b"))).isDirectory);

  const text = paths.join(dir, "b", "d");
  seen.push(await files.readTextFile(text), await failure(files.readFile(path)));
  seen.push(await failure(files.open(text, { write: true, createNew: true })));
  seen.push(await failure(files.stat(paths.join(text, "below"))));
  seen.push(await failure(files.readTextFile(paths.join(dir, "b"))));
  seen.push(await failure(files.mkdir(paths.join(dir, "b"))));
  seen.push(await failure(files.open(path)));
  await files.remove(text);
  await files.remove(paths.join(dir, "b"), { recursive: true });
  seen.push([...files.readDirSync(dir)], paths.dirname(text) === paths.join(dir, "b"));
  seen.push(sha256().update("abc").digest("hex"), inspect([1, "a"]));
  return seen;
}

Deno.test("files in Node are as in Deno: bytes, positions, folders, and kinds of errors", async () => {
  const run = async (host: Host) => {
    const dir = await Deno.makeTempDir();
    try {
      return await useFiles(host, dir);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  };
  assertEquals(host.name, "deno");
  const node = await run(nodeHost());
  assert(node.includes("NotFound") && node.includes("AlreadyExists"), `${node}`);
  assert(node.includes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  assertEquals(
    node.map((each) => typeof each === "string" ? each.replaceAll("'", '"') : each),
    await run(host),
  );
});

Deno.test("a page has no files, and says what to do instead", async () => {
  const { process } = globalThis as { process?: unknown };
  let page: Host;
  try {
    Object.assign(globalThis, { process: undefined });
    const module: string = "../../src/host/node.ts?page";
    page = (await import(module)).nodeHost();
  } finally {
    Object.assign(globalThis, { process });
  }
  assertEquals([page.name, page.version, page.freeMemory()], ["page", "", undefined]);
  await assertRejects(() => page.files.readFile("a"), Error, "encodeSafetensors");
  await assertRejects(() => page.files.open("a"), Error, "not to be had in a page");
  assertThrows(() => page.files.readDirSync("a"), Error, "A file is not to be had in a page");
  assertThrows(() => page.sha256(), Error, "SHA-256 is not to be had in a page");
  assertEquals(page.paths.join("a", "b.json"), "a/b.json");
  assertEquals([page.inspect({ a: 1 }), page.inspect(NaN), page.inspect(undefined)], [
    '{"a":1}',
    "NaN",
    "undefined",
  ]);
});
