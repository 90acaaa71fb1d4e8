import { assert, assertEquals } from "@std/assert";
import {
  announced,
  evaluating,
  Progress,
  type ProgressOutput,
  whileCompiling,
} from "../../src/cli/progress.ts";

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

Deno.test("an evaluation says how far it is only if it takes more than some seconds", async () => {
  const { output, written, clock } = fakeOutput({});
  const evaluate = (seconds: number) =>
    evaluating(output, (onProgress) => {
      for (let done = 0; done <= 40; done += 10) {
        clock.now += seconds / 4;
        onProgress(done, 40);
      }
      return Promise.resolve("done");
    });
  assertEquals(await evaluate(4), "done");
  assertEquals(written, []);
  await evaluate(40);
  assertEquals(written, [
    "evaluation 10/40  1.0 step/s  30 s left\n",
    "evaluation 20/40  1.0 step/s  20 s left\n",
    "evaluation 30/40  1.0 step/s  10 s left\n",
    "evaluation 40/40  1.0 step/s\n",
  ]);
});

Deno.test("the rate counts the steps of this session", () => {
  const { output, written, clock } = fakeOutput({});
  const progress = new Progress(output, "train", 60, 57);
  clock.now = 4;
  progress.update(59, "");
  assertEquals(written, ["train 59/60  2.00 s/step  2.0 s left\n"]);
});

Deno.test("once there is a second step the rate leaves out the first, in which drivers compile kernels", () => {
  const { output, written, clock } = fakeOutput({});
  const progress = new Progress(output, "train", 100, 10);
  for (let step = 11; step <= 41; step++) {
    clock.now += step === 11 ? 8 : 0.5;
    progress.update(step, "");
  }
  assertEquals(written, [
    "train  11/100  8.00 s/step  11:52 left\n",
    "train  31/100  2.0 step/s  35 s left\n",
  ]);
});

Deno.test("a bar says what its first step is about until that is done", () => {
  const { output, written, clock } = fakeOutput({ terminal: true });
  const progress = new Progress(output, "train", 4, 0, "compiling kernels");
  clock.now = 2;
  progress.update(1, "reward 0.500");
  const [before, after] = written;
  assert(before!.endsWith("░ 0/4  compiling kernels"), before);
  assert(after!.includes(" 1/4  ") && after!.includes("reward 0.500"), after);
  assert(!after!.includes("compiling"), after);
});

Deno.test("what is going on is announced, on a terminal as long as it lasts", async () => {
  for (const terminal of [true, false]) {
    const { output, written } = fakeOutput({ terminal });
    const seen = await announced(output, "compiling", () => Promise.resolve([...written]));
    assertEquals(seen, [terminal ? "compiling" : "compiling\n"]);
    assertEquals(written.slice(1), terminal ? ["\r\x1b[2K"] : []);
  }
  const { output, written } = fakeOutput({ quiet: true });
  assertEquals(await announced(output, "compiling", () => Promise.resolve(3)), 3);
  assertEquals(written, []);
});

Deno.test("while kernels are compiled a terminal counts them, where the device does", async () => {
  for (const terminal of [true, false]) {
    const { output, written } = fakeOutput({ terminal });
    const gpu: Parameters<typeof whileCompiling>[1] = { onCompiling: undefined };
    const plan = () => {
      for (const kernels of [1, 2]) gpu.onCompiling?.(kernels, 2);
      return Promise.resolve("plan");
    };
    assertEquals(await whileCompiling(output, gpu, plan), "plan");
    assertEquals(gpu.onCompiling, undefined);
    const again = "\r\x1b[2K";
    assertEquals(
      written,
      terminal
        ? [
          "compiling kernels",
          `${again}compiling kernels 1 of 2`,
          `${again}compiling kernels 2 of 2`,
          again,
        ]
        : ["compiling kernels\n"],
    );
  }
});

Deno.test("a terminal has a bar that is drawn over; parts that do not fit are left out whole", () => {
  const text = "reward 0.500  length 12.8  entropy 0.42";
  const shown = (columns: number) => {
    const { output, written, clock } = fakeOutput({ terminal: true, columns });
    const progress = new Progress(output, "train", 4);
    clock.now = 1;
    progress.update(2, text);
    progress.clear();
    assertEquals([written[0]!.slice(0, 5), written[2]], ["\r\x1b[2K", "\r\x1b[2K"]);
    const line = written[1]!.slice(5);
    assert([...line].length < columns, line);
    return line.replace(/█+/, (full) => `${full.length}`).replace(/░+/, (e) => `+${e.length}`);
  };
  assertEquals(shown(120), `train 12+12 2/4  2.0 step/s  1.0 s left  ${text}`);
  assertEquals(shown(90), `train 7+7 2/4  2.0 step/s  1.0 s left  ${text}`);
  assertEquals(shown(80), "train 9+9 2/4  2.0 step/s  1.0 s left  reward 0.500  length 12.8");
  assertEquals(shown(40), "train 9+8 2/4  2.0 step/s");
  assertEquals(shown(20), "train 5+4 2/4");
  assertEquals(shown(10), "train  2/");
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
  const { output } = fakeOutput({ quiet: true, onProgress: (state) => void told.push(state) });
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

Deno.test("a note is wrapped between words", () => {
  const { output, written } = fakeOutput({ columns: 12 });
  new Progress(output, "train", 1).note("warning: watch out here");
  assertEquals(written, ["warning:\n", "watch out\n", "here\n"]);
});
