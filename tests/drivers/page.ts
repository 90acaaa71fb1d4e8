/**
 * The playground in Chromium, driven by Playwright: `deno task test:page [screenshots]`.
 *
 * A policy trains in the tab on SwiftShader, its weights are saved, loaded and trained on. The file has to be, byte for
 * byte, what Deno's own WebGPU gives on the same driver. With a folder, screenshots at 1280 and 390 pixels are left in it.
 * Needs Debian's `chromium`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { buildPlayground } from "../../docs/playground/build.ts";
import { swiftshader } from "./debian.ts";

const [WARM, STEPS] = [12, 3];
const SESSION = new URL("page_session.js", import.meta.url).pathname;
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html",
  css: "text/css",
  js: "text/javascript",
};

/** The weights that Deno's own WebGPU ends with. */
async function expectedWeights(folder: string): Promise<Uint8Array> {
  const path = `${folder}/expected.safetensors`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", SESSION, path, String(WARM), String(STEPS)],
    env: { ...(await swiftshader()).env, DENO_WEBGPU_BACKEND: "vulkan" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return await Deno.readFile(path);
}

const files = await buildPlayground();
const asked: string[] = [];
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
  const name = new URL(request.url).pathname.slice(1) || "index.html";
  const body = files.get(name);
  return new Response(body ?? null, {
    status: body ? 200 : 404,
    headers: { "content-type": TYPES[name.split(".").at(-1)!] ?? "" },
  });
});
const folder = await Deno.makeTempDir();
// Not a literal: what deno.lock lists is fetched by every `deno task`.
const PLAYWRIGHT = "npm:playwright-core@1.56.1";
const { chromium } = await import(PLAYWRIGHT);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const errors: string[] = [];
  page.on("pageerror", (error: Error) => errors.push(error.message));
  page.on("request", (request: { url(): string }) => asked.push(request.url()));
  const address = `http://127.0.0.1:${server.addr.port}/`;
  const said = (text: string) =>
    page.waitForFunction(
      (text: string) => {
        const { textContent } = (globalThis as unknown as { status_: { textContent: string } })
          .status_;
        return textContent.includes(text);
      },
      text,
      { timeout: 0 },
    );
  const open = async () => {
    await page.goto(address);
    await page.evaluate("globalThis.status_ = document.getElementById('status')");
    await page.waitForSelector("#start:enabled", { timeout: 0 });
  };
  const shot = async (name: string) => {
    if (Deno.args[0]) await page.screenshot({ path: `${Deno.args[0]}/${name}`, fullPage: true });
  };

  await open();
  console.log(await page.textContent("#device"));
  await page.fill("#warm", String(WARM));
  await page.fill("#steps", String(STEPS));
  await page.click("#start");
  await said(`Done: ${STEPS} steps`);
  assertEquals(await page.locator("#charts polyline").count(), 5);
  assertEquals(await page.locator("#samples tr").count(), 12);
  await shot("1280.png");
  await page.setViewportSize({ width: 390, height: 844 });
  await shot("390.png");
  const wide = Number(await page.evaluate("document.documentElement.scrollWidth"));
  assert(wide <= 390, `the page is ${wide} pixels wide`);

  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  const saved = `${folder}/parity.safetensors`;
  await download.saveAs(saved);
  assertEquals(download.suggestedFilename(), "parity.safetensors");

  // A new tab goes on from the file, by another rule, without demonstrations.
  await open();
  await page.setInputFiles("#file", saved);
  await said("is loaded");
  await page.selectOption("#method", "drGrpo");
  assert(await page.isDisabled("#alpha"), "only ΔL has an α");
  await page.fill("#steps", "1");
  await page.click("#start");
  await said("Done: 1 steps");
  for (const [method, alpha] of [["grpo"], ["dapo"], ["deltaL", "0.5"]] as const) {
    await page.selectOption("#method", method);
    assertEquals(await page.isDisabled("#alpha"), alpha === undefined);
    if (alpha) await page.fill("#alpha", alpha);
    await page.evaluate("status_.textContent = ''");
    await page.click("#start");
    await said("Done: 1 steps");
  }
  // Stop ends a long training after the step that runs, and its weights stay.
  await page.fill("#steps", "500");
  await page.click("#start");
  await said("Training: step 1 of 500");
  await page.click("#stop");
  await said("Stopped after");
  const [, steps] = /Stopped after (\d+) steps/.exec((await page.textContent("#status"))!)!;
  assert(Number(steps) < 10, `stopped after ${steps} steps`);
  assert(await page.isEnabled("#save"), "what was trained so far can be saved");
  await shot("stopped.png");
  await page.click("#fresh");
  assert(await page.isDisabled("#save"), "a policy that is gone cannot be saved");
  // What is no such file is refused.
  await page.selectOption("#task", "chain-sum");
  await page.setInputFiles("#file", saved);
  await said("is not of this task's policy");

  assertEquals(errors, []);
  const outside = asked.filter((url) => !url.startsWith(address) && !/^(?:data|blob):/.test(url));
  assertEquals(outside, [], "requests to elsewhere");
  const expected = await expectedWeights(folder);
  const found = await Deno.readFile(saved);
  assertEquals(found.length, expected.length);
  assert(found.every((byte, i) => byte === expected[i]), "the weights differ from Deno's");
  console.log("The page trains, saves and loads; its weights have the bits of Deno's");
} finally {
  await browser.close();
  await server.shutdown();
  await Deno.remove(folder, { recursive: true });
}
