/** The defaults that comments of settings state, beside those of the table. */

import { assert, assertEquals } from "@std/assert";
import { SETTINGS } from "../../src/rl/settings.ts";
import type { Setting } from "../../src/rl/setting_kinds.ts";

const FILES = ["rl/train_options.ts", "objective/weight_batch.ts", "model/truncation.ts"];

Deno.test("the defaults in the comments of settings are those of the table", async () => {
  let stated = 0;
  for (const file of FILES) {
    const source = await Deno.readTextFile(new URL(`../../src/${file}`, import.meta.url));
    const fields = source.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s+(?:readonly )?(\w+)\?*: /g);
    for (const [, comment, name] of fields) {
      const setting: Setting | undefined = SETTINGS[name as keyof typeof SETTINGS];
      const said = /Default (`"?[\w-]+"?`|[\d.]+|true|false)/.exec(comment!)?.[1];
      if (setting === undefined || said === undefined) continue;
      const value = said.replaceAll(/[`"]/g, "").replace(/\.$/, "");
      if (typeof setting.default !== "object") assertEquals(String(setting.default), value, name);
      else if (name !== "klEstimator") assertEquals(value, "", name);
      stated++;
    }
  }
  assert(stated > 40, `${stated} defaults are stated`);
});
