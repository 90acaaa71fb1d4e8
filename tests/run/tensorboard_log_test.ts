import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { crc32c, TensorBoardLog } from "../../src/run/tensorboard_log.ts";
import { test } from "../helpers/test.ts";

/** What TensorBoard's own writer made of the same events: `tests/interop/read_tensorboard.py --stored`. */
const STORED =
  "GAAAAAAAAACjf0siCQAAEED8VNlBGg1icmFpbi5FdmVudDoyM40v6Q8AAAAAAAAAbVMrCQkAABBA/FTZQRAVOgIIAQ6TfEwyAAAAAAAAACQZVuwJAAAQQPxU2UEQrAIqJAoSCgtyZXdhcmQvbWVhbhXNzMw9Cg4KB2V2YWwvw6QVAACAf1kOdyW+AAAAAAAAANpq+AoJAAAQQPxU2UEQrAIqrwEKrAEKBmNvbmZpZ0KXAQgHEgQSAggBQowBw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6lKCAoGCgR0ZXh03JP8tA==";

Deno.test("the checksum is that of RFC 3720", () => {
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assertEquals(crc32c(new Uint8Array()), 0);
});

test.inDir("an event file has the bytes of TensorBoard's own writer", async (dir) => {
  const now = () => 1_700_000_000.25;
  using log = TensorBoardLog.open(dir, { resumeStep: 20, now });
  log.append({
    "training/global_step": 300,
    "reward/mean": 0.1,
    "eval/ä": Infinity,
    note: "no number",
    list: [1],
  });
  log.append({ "training/global_step": 300 });
  log.appendText(300, "config", "é".repeat(70));
  assertEquals(log.path, join(dir, "events.out.tfevents.1700000000.deltal.0"));
  assertEquals(await Deno.readFile(log.path), Uint8Array.fromBase64(STORED));
  // Another session in the same second.
  using other = TensorBoardLog.open(dir, { now });
  assert(other.path.endsWith("1700000000.deltal.1"), other.path);
});
