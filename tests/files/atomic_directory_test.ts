import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import {
  type DirectoryOperations,
  recoverDirectory,
  replaceDirectoryAtomic,
  writeFileAtomic,
} from "../../src/files/atomic_directory.ts";
import { test } from "../helpers/test.ts";

class Killed extends Error {}

/** A process that is killed before its `steps`-th change of the disk and changes nothing after. */
class MortalProcess implements DirectoryOperations {
  #left: number;

  constructor(steps: number) {
    this.#left = steps;
  }

  #live(): void {
    if (this.#left-- <= 0) throw new Killed();
  }

  async mkdir(path: string): Promise<void> {
    this.#live();
    await Deno.mkdir(path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#live();
    await Deno.rename(from, to);
  }

  /** Removing a folder is many steps: it may be stopped between any two files. */
  async remove(path: string): Promise<void> {
    const entries = [...Deno.readDirSync(path)].sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { name, isDirectory } of entries) {
      if (isDirectory) await this.remove(join(path, name));
      else await this.removeOne(join(path, name));
    }
    await this.removeOne(path);
  }

  async removeOne(path: string): Promise<void> {
    this.#live();
    await Deno.remove(path);
  }

  sync(): Promise<void> {
    this.#live();
    return Promise.resolve();
  }

  async write(path: string, text: string): Promise<void> {
    this.#live();
    await Deno.writeTextFile(path, text);
  }

  /** Fills a folder with three files that belong together. */
  async fill(dir: string, text: string): Promise<void> {
    await this.write(join(dir, "a"), text);
    await this.mkdir(join(dir, "sub"));
    await this.write(join(dir, "sub", "b"), text);
    await this.write(join(dir, "c"), text);
  }
}

/** Runs until done or killed; says whether it was killed. */
async function wasKilled(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run();
    return false;
  } catch (error) {
    if (error instanceof Killed) return true;
    throw error;
  }
}

/** The one text in all three files of a folder; fails if the folder is not complete. */
async function contents(dir: string): Promise<string> {
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["a", "c", "sub"]);
  const texts = await Promise.all(
    [join(dir, "a"), join(dir, "sub", "b"), join(dir, "c")].map((path) => Deno.readTextFile(path)),
  );
  assert(texts.every((text) => text === texts[0]), `mixed folder: ${texts}`);
  return texts[0]!;
}

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

const forever = () => new MortalProcess(Infinity);

/** Writes `text` into the folder as a process that is killed before its `steps`-th change. */
function save(dir: string, text: string, steps = Infinity): Promise<boolean> {
  const process = new MortalProcess(steps);
  return wasKilled(() => replaceDirectoryAtomic(dir, (temp) => process.fill(temp, text), process));
}

test.inDir("a folder is created and replaced", async (parent) => {
  const dir = join(parent, "checkpoint");
  for (const text of ["1", "2", "3"]) {
    await replaceDirectoryAtomic(dir, (temp) => forever().fill(temp, text));
    assertEquals(await contents(dir), text);
    assertEquals(names(parent), ["checkpoint"]);
  }
  // A slash at the end names the same folder.
  await replaceDirectoryAtomic(`${dir}/`, (temp) => forever().fill(temp, "4"));
  assertEquals(await contents(dir), "4");
  assertEquals(names(parent), ["checkpoint"]);
});

test.inDir("a process killed at any step leaves the old or the new folder, complete", async (parent) => {
  const dir = join(parent, "checkpoint");
  const outcomes: string[] = [];
  for (let steps = 0;; steps++) {
    await save(dir, "old");
    const killed = await save(dir, "new", steps);
    // Who reads without recovering may miss the folder for an instant, but never sees half of it.
    if (names(parent).includes("checkpoint")) await contents(dir);
    assertEquals(await recoverDirectory(dir), true);
    outcomes.push(await contents(dir));
    assertEquals(names(parent), ["checkpoint"]);
    // Recovery does nothing where nothing is amiss.
    assertEquals(await recoverDirectory(dir, new MortalProcess(0)), true);
    if (!killed) break;
  }
  // First the old one, then, from one step on, the new one.
  const first = outcomes.indexOf("new");
  assert(first > 5 && outcomes.length - first > 5, `${outcomes}`);
  assertEquals(outcomes.slice(first).every((text) => text === "new"), true, `${outcomes}`);
});

test.inDir("a process killed while it creates a folder leaves none or all of it", async (parent) => {
  const dir = join(parent, "checkpoint");
  const outcomes: (string | undefined)[] = [];
  for (let steps = 0;; steps++) {
    const killed = await save(dir, "new", steps);
    const there = await recoverDirectory(dir);
    outcomes.push(there ? await contents(dir) : undefined);
    assertEquals(names(parent), there ? ["checkpoint"] : []);
    if (!killed) break;
    if (there) await Deno.remove(dir, { recursive: true });
  }
  assertEquals(new Set(outcomes), new Set([undefined, "new"]));
  assertEquals(outcomes.at(-1), "new");
});

test.inDir("recovery may itself be killed at any step, and so may a save after it", async (parent) => {
  const dir = join(parent, "checkpoint");
  let deaths = 0;
  for (let steps = 0, killed = true; killed; steps++) {
    for (let recoverySteps = 0, dying = true; dying; recoverySteps++) {
      await save(dir, "old");
      killed = await save(dir, "new", steps);
      dying = await wasKilled(() => recoverDirectory(dir, new MortalProcess(recoverySteps)));
      if (dying) deaths++;
      // A third process dies somewhere in a save of its own.
      await save(dir, "newest", (7 * recoverySteps + steps) % 25);
      assertEquals(await recoverDirectory(dir), true);
      const text = await contents(dir);
      assert(["old", "new", "newest"].includes(text), text);
      assertEquals(names(parent), ["checkpoint"]);
    }
  }
  assert(deaths > 20, `only ${deaths} recoveries died`);
});

test.inDir("once the new folder counts, no recovery brings the old one back", async (parent) => {
  const dir = join(parent, "checkpoint");
  for (let steps = 0, killed = true; killed; steps++) {
    await save(dir, "old");
    killed = await save(dir, "new", steps);
    if (!names(parent).includes("checkpoint.ready")) continue;
    for (let recoverySteps = 0, dying = true; dying; recoverySteps++) {
      dying = await wasKilled(() => recoverDirectory(dir, new MortalProcess(recoverySteps)));
    }
    assertEquals(await contents(dir), "new");
  }
});

test.inDir("an old folder found alone is put back", async (parent) => {
  const dir = join(parent, "checkpoint");
  await save(dir, "old");
  await Deno.rename(dir, `${dir}.old`);
  assertEquals(await recoverDirectory(dir), true);
  assertEquals(await contents(dir), "old");
  assertEquals(names(parent), ["checkpoint"]);
});

test.inDir("if building fails the old folder stays and nothing else is left", async (parent) => {
  const dir = join(parent, "checkpoint");
  const fail = () =>
    replaceDirectoryAtomic(dir, async (temp) => {
      await Deno.writeTextFile(join(temp, "a"), "half");
      throw new Error("boom");
    });
  await assertRejects(fail, Error, "boom");
  assertEquals(names(parent), []);
  await save(dir, "old");
  await assertRejects(fail, Error, "boom");
  assertEquals(await contents(dir), "old");
  assertEquals(names(parent), ["checkpoint"]);
});

test.inDir("every file is brought to disk before the new folder counts", async (parent) => {
  const dir = join(parent, "checkpoint");
  const log: string[] = [];
  const process = forever();
  await replaceDirectoryAtomic(dir, (temp) => process.fill(temp, "x"), {
    mkdir: (path) => process.mkdir(path),
    remove: (path) => process.remove(path),
    rename(from: string, to: string): Promise<void> {
      log.push(`rename ${to.slice(parent.length)}`);
      return process.rename(from, to);
    },
    sync(path: string): Promise<void> {
      log.push(`sync ${path.slice(parent.length)}`);
      return process.sync();
    },
  });
  const partial = "/checkpoint.partial";
  const ready = log.indexOf("rename /checkpoint.ready");
  assertEquals(
    log.slice(0, ready).sort(),
    ["", "/a", "/c", "/sub", "/sub/b"].map((path) => `sync ${partial}${path}`).sort(),
  );
  assertEquals(log.slice(ready), [
    "rename /checkpoint.ready",
    "sync ",
    "rename /checkpoint",
    "sync ",
  ]);
});

Deno.test("a folder without a name of its own is refused", async () => {
  for (const dir of ["", "/", ".", "..", "a/..", "a/./"]) {
    await assertRejects(
      () => replaceDirectoryAtomic(dir, () => Promise.resolve()),
      RangeError,
      "cannot be replaced: give a folder with a name",
    );
    await assertRejects(() => recoverDirectory(dir), RangeError, "cannot be replaced");
  }
});

test.inDir("a real process killed with -9 leaves a complete folder", async (parent) => {
  const dir = join(parent, "checkpoint");
  const module = new URL("../../src/files/atomic_directory.ts", import.meta.url).href;
  const script = join(parent, "writer.ts");
  await Deno.writeTextFile(
    script,
    `import { replaceDirectoryAtomic } from ${JSON.stringify(module)};
      for (let i = 0;; i++) {
        await replaceDirectoryAtomic(${JSON.stringify(dir)}, async (temp) => {
          await Deno.writeTextFile(temp + "/a", String(i));
          await Deno.mkdir(temp + "/sub");
          await Deno.writeTextFile(temp + "/sub/b", String(i));
          await Deno.writeTextFile(temp + "/c", String(i));
        });
        if (i === 0) console.log("going");
      }`,
  );
  for (let kill = 0; kill < 4; kill++) {
    const child = new Deno.Command("deno", {
      args: ["run", "--no-config", "--allow-read", "--allow-write", script],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = child.stdout.getReader();
    assert(!(await reader.read()).done, "the writer ended");
    await new Promise((resolve) => setTimeout(resolve, 3 + 11 * kill));
    child.kill("SIGKILL");
    assert(!(await child.status).success);
    await reader.cancel();
    assertEquals(await recoverDirectory(dir), true);
    assert(Number(await contents(dir)) >= 0);
    assertEquals(names(parent), ["checkpoint", "writer.ts"]);
  }
});

test.inDir("writeFileAtomic is offered beside the folders", async (dir) => {
  await writeFileAtomic(join(dir, "x"), "y");
  assertEquals(await Deno.readTextFile(join(dir, "x")), "y");
});
