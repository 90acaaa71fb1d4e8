import { assertEquals } from "@std/assert";
import { interruptAt } from "../helpers/cli.ts";
import { inTempDir } from "../helpers/temp_dir.ts";

Deno.test({
  name: "a second Ctrl-C ends the process even in the middle of a step",
  ignore: Deno.build.os === "windows",
  async fn() {
    await inTempDir(async (dir) => {
      const { stderr } = await interruptAt("./stubborn.ts", dir, ["ready", "computing"]);
      assertEquals(stderr.replace(/pid \d+/, "pid"), "pid\nready\nfirst\ncomputing\n");
    });
  },
});
