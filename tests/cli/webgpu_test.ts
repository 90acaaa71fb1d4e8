/** Choosing the WebGPU to compute with: `--webgpu`, `--dawn-options`, `--matrix-units`. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { deviceOfRun } from "../../src/cli/gpu.ts";
import { test } from "../helpers/test.ts";

Deno.test("a run keeps the device it began with, unless flags say otherwise", () => {
  const recorded = { webgpu: "dawn", dawnOptions: "backend=vulkan", matrixUnits: true } as const;
  assertEquals(deviceOfRun({}), {});
  assertEquals(deviceOfRun({}, recorded), recorded);
  assertEquals(deviceOfRun({ webgpu: "dawn", matrixUnits: true }), {
    webgpu: "dawn",
    matrixUnits: true,
  });
  assertEquals(deviceOfRun({ matrixUnits: false }, recorded), { ...recorded, matrixUnits: false });
  assertEquals(deviceOfRun({ webgpu: "deno" }, recorded), { webgpu: "deno", matrixUnits: true });
  assertThrows(() => deviceOfRun({}, { webgpu: "chrome" }), RangeError, "one of deno, dawn");
});

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;

/** What `train --webgpu=dawn` says where no package is and none may be fetched. */
async function refusal(dir: string, permissions: readonly string[], cwd: string): Promise<string> {
  const flags = [...permissions, "--no-prompt", "--no-check", "--no-lock", "--cached-only"];
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["run", ...flags, MAIN, "train", "--webgpu=dawn"],
    env: { DENO_DIR: dir, NO_COLOR: "1" },
    cwd,
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 1, text);
  return text;
}

test.inDir("--webgpu dawn without npm's package says what fetches it", async (dir) => {
  const text = await refusal(dir, ["--allow-all"], dir);
  assertStringIncludes(text, "--webgpu dawn needs npm's package webgpu");
  assertStringIncludes(text, "deno cache --no-lock npm:webgpu@");
});

test.inDir("--webgpu dawn without the permission asks for no package, which deno.lock would list", async (dir) => {
  const permissions = ["--allow-read", "--allow-env=XDG_RUNTIME_DIR", "--allow-write=runs"];
  const checkout = new URL("../..", import.meta.url).pathname;
  const text = await refusal(dir, permissions, checkout);
  assertStringIncludes(text, "to grant it, run: deno run -A --no-lock src/cli/main.ts train");
});
