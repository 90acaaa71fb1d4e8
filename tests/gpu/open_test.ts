import { assertEquals, assertRejects } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";

Deno.test("of several adapters the fastest is asked for, or the one that is wanted", async () => {
  const asked: unknown[] = [];
  const webgpu = {
    requestAdapter(options: GPURequestAdapterOptions) {
      asked.push(options);
      return Promise.resolve(null);
    },
  } as unknown as GPU;
  await assertRejects(() => openGpu({ webgpu }), Error, "found no adapter");
  await assertRejects(() => openGpu({ webgpu, powerPreference: "low-power" }), Error);
  assertEquals(asked, [
    { powerPreference: "high-performance" },
    { powerPreference: "low-power" },
  ]);
});

Deno.test("opening a device in a script says nothing about XDG_RUNTIME_DIR, and leaves it as it was", async () => {
  const script = `
    import { openGpu } from "${new URL("../../src/gpu/open.ts", import.meta.url)}";
    await (await openGpu()).close();
    console.log(JSON.stringify(Deno.env.get("XDG_RUNTIME_DIR")));`;
  const { stdout, stderr } = await new Deno.Command("deno", {
    args: ["eval", "--no-check", "--ext=ts", script],
    env: { DENO_WEBGPU_BACKEND: "vulkan,metal,dx12", NO_COLOR: "1", XDG_RUNTIME_DIR: "" },
  }).output();
  const said = new TextDecoder().decode(stderr);
  assertEquals(said.match(/XDG_RUNTIME_DIR is invalid/g)?.length ?? 0, 0, said);
  assertEquals(new TextDecoder().decode(stdout).trim(), '""');
});
