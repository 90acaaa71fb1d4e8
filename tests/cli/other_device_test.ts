import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { join } from "node:path";
import { openGpu } from "../../src/gpu/open.ts";
import { readRunConfig } from "../../src/run/run_directory.ts";
import { readTrainerState } from "../../src/run/trainer_checkpoint.ts";
import { runCommandsWith } from "../helpers/cli.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { TINY_RUN } from "../helpers/tiny_run.ts";

/** Makes Mesa's software adapter compute with subgroups of 4 instead of 8 or 16: other bits. */
const NARROW = { LP_NATIVE_VECTOR_WIDTH: "128" };

async function onLavapipe(): Promise<boolean> {
  const gpu = await openGpu();
  const { description, subgroupSize } = gpu.adapter;
  await gpu.close();
  return description.includes("llvmpipe") && subgroupSize > 4;
}

Deno.test({
  name:
    "another device makes a warm start of its own, and resuming on it says that the bits change",
  ignore: !await onLavapipe(),
  async fn() {
    await inTempDir(async (dir) => {
      const train = ["train", ...TINY_RUN, "--no-report", "--max-steps=1"];
      const first = await runInProcess(dir, ...train, "--out=runs/first");
      assertMatch(first.stdout, /^warm start made/m);
      const again = await runInProcess(dir, ...train, "--out=runs/again");
      assertMatch(again.stdout, /^warm start found/m);
      const numbersOf = async (run: string) => {
        const state = await readTrainerState(join(dir, run, "checkpoint"));
        const config = await readRunConfig(join(dir, run));
        assertEquals(config.numbers, state.numbers);
        assertMatch(state.numbers!, /^[0-9a-f]{16}$/);
        return state.numbers;
      };
      assertEquals(await numbersOf("runs/again"), await numbersOf("runs/first"));
      const numbers = await numbersOf("runs/first");

      const resume = ["train", "--resume=runs/first", "--no-report"];
      const here = await runInProcess(dir, ...resume, "--max-steps=2");
      assert(!here.stderr.includes("other bits"), here.stderr);
      const [other, there] = await runCommandsWith(
        NARROW,
        dir,
        [...train, "--out=runs/other"],
        [...resume, "--max-steps=3"],
      );
      assertMatch(
        other!.stdout,
        /^warm start made/m,
        "the other device's warm start is not its own",
      );
      assertNotEquals(await numbersOf("runs/other"), numbers);
      assertEquals(there!.code, 0, there!.stderr);
      assertMatch(
        there!.stderr,
        /^warning: this device computes other bits than the one that made the checkpoint \(llvmpipe/m,
      );
      const { resumed } = await readRunConfig(join(dir, "runs/first")) as unknown as {
        resumed: { before?: { numbers: string } }[];
      };
      assertEquals(resumed.map(({ before }) => before?.numbers), [
        undefined,
        await numbersOf("runs/again"),
      ]);
    });
  },
});
