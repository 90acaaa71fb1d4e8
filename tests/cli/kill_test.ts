import { assert, assertEquals } from "@std/assert";
import { runInProcess } from "../helpers/in_process.ts";
import { killRuns } from "../helpers/killed_runs.ts";
import { uniformStream } from "../helpers/random.ts";
import { inTempDir } from "../helpers/temp_dir.ts";

// `deno task soak` does it more often.
Deno.test({
  name: "a run killed at random moments resumes and ends with the bytes of an undisturbed one",
  ignore: Deno.build.os === "windows",
  async fn() {
    await inTempDir(async (dir) => {
      const { moments, runs } = await killRuns(dir, 4, uniformStream(3), runInProcess);
      assert(runs > 0);
      assertEquals(Object.values(moments).reduce((a, b) => a + b), 4);
    });
  },
});
