import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  MetricsLog,
  type MetricsRecord,
  readMetrics,
  readTexts,
} from "../../src/run/metrics_log.ts";
import { uniformStream } from "../helpers/random.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";

const at = (step: number, more: Record<string, number> = {}): MetricsRecord => ({
  "training/global_step": step,
  ...more,
});

/** Runs `test` with a log that has one line for each step. */
function withLog(steps: number[], test: (path: string) => Promise<void>): Promise<void> {
  return inTempDir(async (dir) => {
    const path = join(dir, "metrics.jsonl");
    using log = MetricsLog.open(path);
    for (const step of steps) log.append(at(step, { "reward/mean": step / 10 }));
    await test(path);
  });
}

async function steps(path: string): Promise<number[]> {
  return (await readMetrics(path)).map((record) => record["training/global_step"]);
}

test.inDir("records come back as they were written, one line each", async (dir) => {
  const path = join(dir, "metrics.jsonl");
  const records: MetricsRecord[] = [
    { "training/global_step": 0, "reward/mean": 0.1 + 0.2, note: "two\nlines é", on: true },
    { "training/global_step": 1, lengths: [1, 2.5, null], eval: { "mean@4": 1e-300 } },
  ];
  const log = MetricsLog.open(path);
  for (const record of records) log.append(record);
  log.close();
  assertEquals(await readMetrics(path), records);
  const text = await Deno.readTextFile(path);
  assertEquals(text.split("\n").length, 3);
  assertEquals(text.split("\n").slice(0, 2).map((line) => JSON.parse(line)), records);
});

test.inDir("NaN and infinities are strings in the file and numbers when read", async (dir) => {
  const path = join(dir, "metrics.jsonl");
  const record = at(3, { a: NaN, b: Infinity, c: -Infinity, d: 1 });
  using log = MetricsLog.open(path);
  log.append({ ...record, nested: [NaN, { deep: -Infinity }] });
  assertEquals(
    await Deno.readTextFile(path),
    '{"training/global_step":3,"a":"NaN","b":"Infinity","c":"-Infinity","d":1,' +
      '"nested":["NaN",{"deep":"-Infinity"}]}\n',
  );
  assertEquals(await readMetrics(path), [{ ...record, nested: [NaN, { deep: -Infinity }] }]);
});

test.inDir("texts of a log that has some stay texts, whatever they say", async (dir) => {
  const path = join(dir, "completions.jsonl");
  const records = ["NaN", "Infinity", "-Infinity", "7", ""].map((completion, step) => ({
    "training/global_step": step,
    completion,
    reward: null,
  }));
  {
    using log = MetricsLog.open(path);
    for (const record of records) log.append(record);
  }
  assertEquals(await readTexts(path), records);
  MetricsLog.open(path, { resumeStep: 3 }).close();
  assertEquals(await readTexts(path), records.slice(0, 4));
});

test.inDir("every line is in the file when append returns", async (dir) => {
  const path = join(dir, "metrics.jsonl");
  using log = MetricsLog.open(path);
  for (let step = 0; step < 5; step++) {
    log.append(at(step));
    assertEquals((await steps(path)).length, step + 1);
  }
});

Deno.test("an opened log is continued", async () => {
  await withLog([0, 1, 1], async (path) => {
    const log = MetricsLog.open(path);
    log.append(at(1));
    log.append(at(4));
    log.close();
    assertEquals(await steps(path), [0, 1, 1, 1, 4]);
  });
});

Deno.test("on resuming, lines of later steps are cut off", async () => {
  const cases = [
    [0, [0]],
    [1, [0, 1, 1]],
    [2, [0, 1, 1]],
    [4, [0, 1, 1, 4]],
    [9, [0, 1, 1, 4]],
  ] as const;
  for (const [resumeStep, kept] of cases) {
    await withLog([0, 1, 1, 4], async (path) => {
      const log = MetricsLog.open(path, { resumeStep });
      assertEquals(await steps(path), [...kept]);
      log.append(at(10));
      log.close();
      assertEquals(await steps(path), [...kept, 10]);
    });
  }
});

Deno.test("a log whose lines are all later is emptied", async () => {
  await withLog([5, 6], async (path) => {
    MetricsLog.open(path, { resumeStep: 4 }).close();
    assertEquals(await Deno.readTextFile(path), "");
  });
});

Deno.test("a log cut off at any byte is read and continued without the torn line", async () => {
  await withLog([0, 1, 2], async (path) => {
    const whole = await Deno.readFile(path);
    const ends = [...whole.keys()].filter((i) => whole[i] === 10);
    for (let length = 0; length <= whole.length; length++) {
      await Deno.writeFile(path, whole.subarray(0, length));
      // A line that lacks only its newline is complete.
      const kept = ends.filter((end) => length >= end).map((_, step) => step);
      assertEquals(await steps(path), kept, `cut to ${length} bytes`);
      const log = MetricsLog.open(path);
      log.append(at(7));
      log.close();
      assertEquals(await steps(path), [...kept, 7], `cut to ${length} bytes`);
    }
  });
});

test.inDir("a torn line is cut off wherever inside a character it ends", async (dir) => {
  const path = join(dir, "metrics.jsonl");
  const line = new TextEncoder().encode('{"training/global_step":1,"note":"é\u{1f600}"}');
  for (let length = 0; length < line.length; length++) {
    await Deno.writeFile(path, line.subarray(0, length));
    assertEquals(await readMetrics(path), []);
  }
});

Deno.test("a damaged line that is not the last is named", async () => {
  for (
    const damaged of ["x", "", "[]", "3", "null", "{}", '{"training/global_step":-1}', '{"a":1']
  ) {
    await withLog([0], async (path) => {
      await Deno.writeTextFile(path, `${damaged}\n`, { append: true });
      const message = `${path}: line 2 is not a JSON object with a whole-numbered training/global`;
      await assertRejects(() => readMetrics(path), SyntaxError, message);
      const before = await Deno.readTextFile(path);
      assertThrows(() => MetricsLog.open(path), SyntaxError, message);
      assertEquals(await Deno.readTextFile(path), before);
    });
  }
});

Deno.test("a step that is missing, no whole number, or goes back is refused", async () => {
  await withLog([0, 3], (path) => {
    using log = MetricsLog.open(path);
    for (const step of [2, -1, 3.5, NaN, undefined, "4"]) {
      const record = { "training/global_step": step } as MetricsRecord;
      assertThrows(
        () => log.append(record),
        RangeError,
        `${path}: training/global_step is ${step}: give a whole number of at least 3`,
      );
    }
    log.append(at(3));
    return Promise.resolve();
  });
});

Deno.test("a resumeStep that is no whole number is refused and changes nothing", async () => {
  await withLog([0, 1], async (path) => {
    for (const resumeStep of [-1, 0.5, NaN]) {
      assertThrows(
        () => MetricsLog.open(path, { resumeStep }),
        RangeError,
        `resumeStep is ${resumeStep}`,
      );
    }
    assertEquals(await steps(path), [0, 1]);
  });
});

test.inDir("any mix of appends, tears and resumes leaves whole lines in order", async (dir) => {
  const path = join(dir, "metrics.jsonl");
  const next = uniformStream(9);
  let expected: number[] = [];
  for (let round = 0; round < 100; round++) {
    const resumeStep = Math.floor(next() * 40);
    const log = MetricsLog.open(path, { resumeStep });
    expected = expected.filter((step) => step <= resumeStep);
    for (let n = Math.floor(next() * 6), step = expected.at(-1) ?? 0; n > 0; n--) {
      step += Math.floor(next() * 3);
      log.append(at(step, { value: next() }));
      expected.push(step);
    }
    log.close();
    assertEquals(await steps(path), expected);
    if (next() < 0.5) await Deno.writeTextFile(path, '{"training/glo', { append: true });
  }
  assert(expected.length > 0);
});

test.inDir("a log that is not there is an error to read", async (dir) => {
  await assertRejects(() => readMetrics(join(dir, "none")), Deno.errors.NotFound);
});

test.inDir("what is known later joins the line of its step, which stays as it was up to there", async (dir) => {
  const path = join(dir, "metrics.jsonl");
  const [first, last] = [at(1, { a: NaN }), at(2, { a: 0.1 })];
  for (const reopened of [false, true]) {
    let log = MetricsLog.open(path, { resumeStep: 0 });
    log.append(first);
    log.append(last);
    if (reopened) {
      log.close();
      log = MetricsLog.open(path);
    }
    const before = (await Deno.readTextFile(path)).trimEnd();
    log.amend(at(2, { "eval/x": 0.5, "eval/y": Infinity }));
    assertEquals(
      await Deno.readTextFile(path),
      before.slice(0, -1) + ',"eval/x":0.5,"eval/y":"Infinity"}\n',
    );
    log.amend(at(3, { "eval/x": 1 }));
    log.append(at(4));
    log.close();
    assertEquals(await readMetrics(path), [
      first,
      { ...last, "eval/x": 0.5, "eval/y": Infinity },
      at(3, { "eval/x": 1 }),
      at(4),
    ]);
  }
});
