import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { Dataset, jsonlDataset } from "../../src/task/dataset.ts";
import { test } from "../helpers/test.ts";

const rowsOf = (n: number) => Array.from({ length: n }, (_, i) => ({ prompt: `p${i}`, i }));

Deno.test("Dataset: each epoch visits every row once, in an order of its own", () => {
  const rows = rowsOf(40);
  const dataset = new Dataset(rows);
  const n = dataset.train.length;
  const epoch = (e: number, seed = 1) =>
    Array.from({ length: n }, (_, i) => dataset.row("train", seed, e * n + i).i);
  const sorted = (list: number[]) => list.toSorted((a, b) => a - b);
  assertEquals(sorted(epoch(0)), dataset.train.map(({ i }) => i));
  assertEquals(sorted(epoch(1)), sorted(epoch(0)));
  assertNotEquals(epoch(1), epoch(0));
  assertNotEquals(epoch(0, 2), epoch(0, 1));
  // A row is a function of (seed, index), whatever was asked before.
  assertEquals(new Dataset(rows).row("train", 1, 3 * n + 5), dataset.row("train", 1, 3 * n + 5));
});

Deno.test("Dataset: an eighth of the different prompts is held out, duplicates with them", () => {
  const rows = [...rowsOf(80), ...rowsOf(80).map((row) => ({ ...row, i: row.i + 100 }))];
  const dataset = new Dataset(rows);
  assertEquals([dataset.train.length, dataset.eval.length], [140, 20]);
  const trained = new Set(dataset.train.map(({ prompt }) => prompt));
  assert(dataset.eval.every(({ prompt }) => !trained.has(prompt)));
  // Which ones depends on the prompts alone, not on their order.
  const reversed = new Dataset(rows.toReversed());
  const texts = (list: readonly { prompt: string }[]) => list.map(({ prompt }) => prompt).sort();
  assertEquals(texts(reversed.eval), texts(dataset.eval));
  // Evaluation goes round in the given order.
  assertEquals(dataset.row("eval", 9, 21), dataset.eval[1]);
});

Deno.test("Dataset: given evaluation rows are the ones, and a single prompt serves both", () => {
  const own = new Dataset(rowsOf(3), [{ prompt: "x", i: -1 }]);
  assertEquals([own.train.length, own.eval.length], [3, 1]);
  const single = new Dataset([{ prompt: "only" }, { prompt: "only" }]);
  // The same row twice is one problem to evaluate on.
  assertEquals([single.train.length, single.eval.length], [2, 1]);
  const two = new Dataset(rowsOf(2));
  assertEquals([two.train.length, two.eval.length], [1, 1]);
  assertThrows(() => new Dataset([]), RangeError, "at least one prompt");
  assertThrows(() => new Dataset(rowsOf(1), []), RangeError, "at least one prompt");
});

test.inDir("jsonlDataset() reads rows with their columns", async (dir) => {
  const path = `${dir}/prompts.jsonl`;
  const message = { role: "user", content: "hi" };
  await Deno.writeTextFile(
    path,
    '\ufeff{"prompt": "2+2=", "answer": 4}\r\n\n{"prompt": [1, 2]}\n' +
      JSON.stringify({ prompt: [message], tags: ["a"] }),
  );
  assertEquals(await jsonlDataset(path), [
    { prompt: "2+2=", answer: 4 },
    { prompt: [1, 2] },
    { prompt: [message], tags: ["a"] },
  ]);
  await Deno.writeTextFile(path, '{"question": "2+2=", "prompt": 3}\n');
  assertEquals(await jsonlDataset(path, { promptColumn: "question" }), [
    { question: "2+2=", prompt: "2+2=" },
  ]);
});

test.inDir("jsonlDataset() names the line that is wrong", async (dir) => {
  const path = `${dir}/prompts.jsonl`;
  const cases: [text: string, kind: ErrorConstructor, message: string][] = [
    ['{"prompt": "a"}\n{"prompt"\n', SyntaxError, "prompts.jsonl:2 is no JSON"],
    ['{"prompt": "a"}\n\n[1]\n', TypeError, "prompts.jsonl:3 must hold a JSON object"],
    ["null", TypeError, "prompts.jsonl:1 must hold a JSON object"],
    ['{"question": "a"}', TypeError, "prompt must be a text, a list"],
    ['{"prompt": ""}', TypeError, "and not empty"],
    ['{"prompt": []}', TypeError, "and not empty"],
    ['{"prompt": [1, "a"]}', TypeError, "prompt must be"],
    ['{"prompt": [{"role": "user"}]}', TypeError, "prompt must be"],
    ['{"prompt": 7}', TypeError, "got 7"],
    ["\n \n", RangeError, "has no rows"],
  ];
  for (const [text, kind, message] of cases) {
    await Deno.writeTextFile(path, text);
    await assertRejects(() => jsonlDataset(path), kind, message);
  }
  await assertRejects(() => jsonlDataset(`${dir}/none.jsonl`), Deno.errors.NotFound);
});
