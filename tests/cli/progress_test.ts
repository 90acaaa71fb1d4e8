import { assert, assertEquals } from "@std/assert";
import { Progress, type ProgressOutput } from "../../src/cli/progress.ts";

/** An output that keeps what is written, with a clock that a test moves. */
function fakeOutput(kind: Partial<ProgressOutput>) {
  const written: string[] = [];
  const clock = { now: 0 };
  const output: ProgressOutput = {
    terminal: false,
    columns: 80,
    quiet: false,
    write: (text) => void written.push(text),
    now: () => clock.now,
    ...kind,
  };
  return { output, written, clock };
}

Deno.test("without a terminal there is a line at first, now and then, and at last", () => {
  const { output, written, clock } = fakeOutput({});
  const progress = new Progress(output, "train", 60);
  for (let step = 1; step <= 60; step++) {
    clock.now += 0.5;
    progress.update(step, "reward 0.500");
  }
  progress.clear();
  assertEquals(written, [
    "train  1/60  reward 0.500  2.0 step/s  30 s left\n",
    "train 21/60  reward 0.500  2.0 step/s  20 s left\n",
    "train 41/60  reward 0.500  2.0 step/s  9.5 s left\n",
    "train 60/60  reward 0.500  2.0 step/s\n",
  ]);
});

Deno.test("the rate counts the steps of this session", () => {
  const { output, written, clock } = fakeOutput({});
  const progress = new Progress(output, "train", 60, 57);
  clock.now = 4;
  progress.update(59, "");
  assertEquals(written, ["train 59/60  2.00 s/step  2.0 s left\n"]);
});

Deno.test("a terminal has a bar that is drawn over and fits", () => {
  const { output, written, clock } = fakeOutput({ terminal: true, columns: 62 });
  const progress = new Progress(output, "train", 4);
  clock.now = 1;
  progress.update(2, "a long text that does not fit into the columns of it");
  progress.clear();
  assertEquals(written, [
    `\r\x1b[2Ktrain ${"░".repeat(24)} 0/4`,
    `\r\x1b[2Ktrain ${"█".repeat(12)}${"░".repeat(12)} 2/4  2.0 step/s  1.0 s left  a`,
    "\r\x1b[2K",
  ]);
  for (const text of written) assert([...text.replace("\r\x1b[2K", "")].length < 62, text);
});

Deno.test("a note takes the place of the bar, which is drawn again below", () => {
  const { output, written } = fakeOutput({ terminal: true });
  const progress = new Progress(output, "train", 1);
  progress.note("warning: watch out");
  progress.update(1, "");
  assertEquals(written.slice(1), [
    "\r\x1b[2K",
    "warning: watch out\n",
    `\r\x1b[2Ktrain ${"█".repeat(24)} 1/1`,
  ]);
});

Deno.test("whoever watches is told, quiet or not", () => {
  const told: unknown[] = [];
  const { output } = fakeOutput({ quiet: true, watch: (state) => void told.push(state) });
  new Progress(output, "train", 4, 1).update(2, "reward");
  assertEquals(told, [
    { label: "train", done: 1, total: 4, text: "" },
    { label: "train", done: 2, total: 4, text: "reward" },
  ]);
});

Deno.test("a phase without steps is drawn empty, and nothing is drawn when quiet", () => {
  const empty = fakeOutput({ terminal: true });
  new Progress(empty.output, "train", 0);
  assertEquals(empty.written, [`\r\x1b[2Ktrain ${"░".repeat(24)} 0/0`]);
  for (const terminal of [true, false]) {
    const { output, written } = fakeOutput({ terminal, quiet: true });
    const progress = new Progress(output, "train", 4);
    progress.update(4, "reward");
    progress.clear();
    assertEquals(written, []);
  }
});
