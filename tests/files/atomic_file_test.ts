import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  createFileAtomic,
  writeAll,
  writeAllSync,
  writeFileAtomic,
} from "../../src/files/atomic_file.ts";
import type { HostFile } from "../../src/host/host.ts";
import { test } from "../helpers/test.ts";

function list(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

test.inDir("writeFileAtomic creates and replaces files of text and of bytes", async (dir) => {
  const path = join(dir, "a.txt");
  await writeFileAtomic(path, "first, longer");
  assertEquals(await Deno.readTextFile(path), "first, longer");
  await writeFileAtomic(path, "zweitens é");
  assertEquals(await Deno.readTextFile(path), "zweitens é");
  await writeFileAtomic(path, Uint8Array.of(0, 255));
  assertEquals(await Deno.readFile(path), Uint8Array.of(0, 255));
  await writeFileAtomic(path, "");
  assertEquals(await Deno.readTextFile(path), "");
  assertEquals(list(dir), ["a.txt"]);
});

test.inDir("the old file stands until the new one is complete, also where writing fails", async (dir) => {
  const path = join(dir, "a.txt");
  await writeFileAtomic(path, "old");
  const boom = () =>
    createFileAtomic(path, async (file) => {
      await writeAll(file, new TextEncoder().encode("half of the n"), path);
      assertEquals(await Deno.readTextFile(path), "old");
      throw new Error("boom");
    });
  await assertRejects(boom, Error, "boom");
  assertEquals(await Deno.readTextFile(path), "old");
  assertEquals(list(dir), ["a.txt"]);
});

test.inDir("what a killed writer left is overwritten", async (dir) => {
  const path = join(dir, "a.txt");
  await Deno.writeTextFile(`${path}.partial`, "left by another process, and long");
  await writeFileAtomic(path, "new");
  assertEquals(await Deno.readTextFile(path), "new");
  assertEquals(list(dir), ["a.txt"]);
});

test.inDir("a folder that is not there is an error that names it", async (dir) => {
  const path = join(dir, "missing", "a.txt");
  await assertRejects(() => writeFileAtomic(path, "x"), Deno.errors.NotFound, path);
});

test.inDir("a disk that is full is an error that names the file, which stays as it was", async (dir) => {
  const path = join(dir, "a.txt");
  await writeFileAtomic(path, "old");
  const full = () => {
    throw new Error("No space left on device (os error 28)");
  };
  const message = `${path} cannot be written: No space left on device`;
  const file = {
    writeSync: full,
    write: () => Promise.reject(new Error("No space left on device (os error 28)")),
  } as unknown as HostFile;
  const bytes = new Uint8Array(9);
  await assertRejects(
    () => createFileAtomic(path, () => writeAll(file, bytes, path)),
    Error,
    message,
  );
  assertThrows(() => writeAllSync(file, bytes, path), Error, message);
  assertEquals(await Deno.readTextFile(path), "old");
  assertEquals(list(dir), ["a.txt"]);
});
