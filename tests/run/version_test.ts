import { assertEquals } from "@std/assert";
import { VERSION } from "../../src/run/version.ts";

Deno.test("the version is that of deno.json", async () => {
  const manifest = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  assertEquals(VERSION, JSON.parse(manifest).version);
});
