import { assertEquals } from "@std/assert";
import { callableHere } from "../../src/cli/command_name.ts";

Deno.test("hints name commands that exist where they are read", () => {
  const hint = (main: string, cwd: string) =>
    callableHere("look: deno task sample runs/x", main, cwd);
  const main = "file:///home/me/deltal/src/cli/main.ts";
  assertEquals(hint(main, "/home/me/deltal"), "look: deno task sample runs/x");
  assertEquals(
    hint(main, "/home/me/own"),
    "look: deno run -A /home/me/deltal/src/cli/main.ts sample runs/x",
  );
  assertEquals(
    hint("https://jsr.io/@deltal/deltal/0.1.0/src/cli/main.ts", "/home/me/own"),
    "look: deno run -A jsr:@deltal/deltal/cli sample runs/x",
  );
  assertEquals(
    hint("file:///home/me/own/test.ts", "/home/me/own"),
    "look: deno task sample runs/x",
  );
});
