import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { checkedOutCommit } from "../../src/lab/provenance.ts";
import { inTempDir } from "../helpers/temp_dir.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const OTHER = "f".repeat(40);

Deno.test("the commit is read from git's files, wherever git keeps it", async () => {
  const cases: [files: Record<string, string>, commit: string | undefined][] = [
    [{ "HEAD": `${COMMIT}\n` }, COMMIT],
    [{ "HEAD": "ref: refs/heads/main\n", "refs/heads/main": `${COMMIT}\n` }, COMMIT],
    [{
      "HEAD": "ref: refs/heads/main\n",
      "packed-refs":
        `# pack-refs with: peeled fully-peeled sorted\n${OTHER} refs/heads/main2\n${COMMIT} refs/heads/main\n`,
    }, COMMIT],
    [{ "HEAD": "ref: refs/heads/main\n" }, undefined],
    [{}, undefined],
  ];
  for (const [files, commit] of cases) {
    await inTempDir(async (dir) => {
      await Deno.mkdir(join(dir, ".git", "refs", "heads"), { recursive: true });
      for (const [name, text] of Object.entries(files)) {
        await Deno.writeTextFile(join(dir, ".git", name), text);
      }
      assertEquals(await checkedOutCommit(dir), commit);
    });
  }
});

Deno.test("a folder without git has no commit", async () => {
  await inTempDir(async (dir) => assertEquals(await checkedOutCommit(dir), undefined));
});
