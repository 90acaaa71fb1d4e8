import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { EngineProcess } from "../../bench/harness/process.ts";
import { inputValues } from "../../bench/harness/work_items.ts";

const script = new URL("../../bench/suites/deltal_engine.ts", import.meta.url).pathname;

Deno.test("an engine in a process of its own gives right results and honest counts", async () => {
  const engine = new EngineProcess({ name: "deltal", command: ["deno", "run", "-A", script] });
  try {
    const [m, k, n] = [5, 7, 6];
    const ready = await engine.prepare({ kind: "matmul", layout: "nt", m, k, n });
    const [a, b] = [inputValues(m * k), inputValues(n * k)];
    for (const [i, value] of ready!.results!.entries()) {
      let expected = 0;
      for (let j = 0; j < k; j++) {
        expected += a[Math.floor(i / n) * k + j]! * b[(i % n) * k + j]!;
      }
      assertAlmostEquals(value, expected, 1e-5);
    }
    const { samples, calls } = await engine.run(3);
    assertEquals(samples.length, 3);
    assert(samples.every(({ wallMs, cpuMs }) => wallMs > 0 && cpuMs > 0));
    assertEquals([calls.dispatches, calls.passes, calls.buffers], [1, 1, 0]);

    const sizes = { width: 16, layers: 1, heads: 2, vocabulary: 8 };
    await engine.prepare({ kind: "step", ...sizes, batch: 2, context: 6 });
    const step = await engine.run(1);
    assertEquals([step.calls.submits, step.calls.buffers, step.calls.bindGroups], [1, 0, 0]);
    assert(step.calls.dispatches > 20 && step.peakBytes > 0);
  } finally {
    await engine.close();
  }
});

Deno.test("an engine that ends says why", async () => {
  const engine = new EngineProcess({
    name: "broken",
    command: ["deno", "eval", "console.error('no such adapter'); Deno.exit(3)"],
  });
  let message = "";
  try {
    await engine.prepare({ kind: "sum", n: 4 });
  } catch (error) {
    message = (error as Error).message;
  }
  await engine.close();
  assertEquals(message, "broken ended: no such adapter");
});
