import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { LiveFeed } from "../../src/run/live_feed.ts";
import { LiveServer } from "../../src/run/live_server.ts";

interface Event {
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- as the page gets it
  readonly data: any;
}

/** The events of a stream, one by one. */
async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Event> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as TransformStream)) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(block)!;
      yield { name: name!, data: JSON.parse(data!) };
    }
  }
}

const line = (step: number, more: Record<string, number> = {}) => ({
  "training/global_step": step,
  "reward/mean": step / 10,
  ...more,
});
const lines = (step: number, more: Record<string, number> = {}) => ({
  line: line(step, more),
  completions: [{ "training/global_step": step, prompt: "1+1=", completion: `${step}`, reward: 1 }],
});

Deno.test("a client is told everything so far, then what is new, then the end", async () => {
  const feed = new LiveFeed();
  feed.describe({ title: "parity", facts: [["seed", "42"]] });
  feed.recall([line(1), line(2, { "eval/parity/mean@8": 0.5, "perf/dispatches": 7 })]);
  feed.step(lines(3), ["watch out"]);
  feed.progress({ label: "train", done: 3, total: 5, text: "reward" });
  const events = eventsOf(feed.connect()!);
  const next = async () => (await events.next()).value as Event;
  assertEquals(feed.clients, 1);
  assertEquals(await next(), {
    name: "snapshot",
    data: {
      about: { title: "parity", facts: [["seed", "42"]] },
      lines: [line(1), line(2, { "eval/parity/mean@8": 0.5 }), line(3)],
      completions: lines(3).completions,
      warnings: ["step 3: watch out"],
      state: { label: "train", done: 3, total: 5, text: "reward" },
      end: null,
    },
  });
  feed.step(lines(4, { "actor/grad_norm": NaN }));
  const grad = { "actor/grad_norm": "NaN" };
  assertEquals(await next(), {
    name: "step",
    data: { line: { ...line(4), ...grad }, completions: lines(4).completions },
  });
  feed.end("done");
  assertEquals(await next(), { name: "end", data: "done" });
  assertEquals((await events.next()).done, true);
  const late = await Array.fromAsync(eventsOf(feed.connect()!));
  assertEquals(late.map(({ name, data }) => [name, data.end]), [["snapshot", "done"]]);
  assertEquals(feed.clients, 0);
});

Deno.test("a client that goes is forgotten, and there are not too many", async () => {
  const feed = new LiveFeed();
  const streams = Array.from({ length: 16 }, () => feed.connect()!);
  assertEquals(feed.connect(), undefined);
  await streams.pop()!.cancel();
  assertEquals(feed.clients, 15);
  assert(feed.connect() !== undefined);
});

Deno.test("a client that does not read is let go and costs the others nothing", async () => {
  const feed = new LiveFeed();
  const stuck = feed.connect()!;
  const reader = eventsOf(feed.connect()!);
  await reader.next();
  const text = "x".repeat(100_000);
  for (let step = 1; step <= 60; step++) {
    const completions = [{ "training/global_step": step, completion: text }];
    feed.step({ line: line(step), completions });
    assertEquals(((await reader.next()).value as Event).data.line, line(step));
  }
  assertEquals(feed.clients, 1);
  const waiting = await Array.fromAsync(eventsOf(stuck));
  assert(waiting.length > 40 && waiting.length < 50, `${waiting.length} events`);
  await reader.return(undefined);
});

Deno.test("the past is thinned out, evaluations stay", async () => {
  const feed = new LiveFeed();
  for (let step = 0; step < 20_000; step++) {
    const more: Record<string, number> = step % 1000 === 1 ? { "eval/parity/mean@8": step } : {};
    feed.step({ line: line(step, more), completions: [] });
  }
  feed.end("done");
  const [{ data }] = await Array.fromAsync(eventsOf(feed.connect()!)) as [Event];
  const steps = data.lines.map((line: Record<string, number>) => line["training/global_step"]);
  assert(steps.length > 1000 && steps.length <= 2048, `${steps.length} lines`);
  assertEquals(steps[0], 0);
  assertEquals(steps.at(-1), 19_999);
  assertEquals(steps, steps.toSorted((a: number, b: number) => a - b));
  const evaluated = data.lines.filter((line: object) => "eval/parity/mean@8" in line);
  assertEquals(evaluated.length, 20);
});

Deno.test("the page is served to this machine, reads only, and runs nothing foreign", async () => {
  await using server = LiveServer.start(0);
  const get = (path: string, init: RequestInit = {}) => fetch(new URL(path, server.url), init);
  assert(/^http:\/\/127\.0\.0\.1:\d+\/$/.test(server.url), server.url);
  const page = await get("/");
  const html = await page.text();
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  assertStringIncludes(page.headers.get("content-security-policy")!, "default-src 'none'");
  // No address of anything outside; the SVG namespace is a name.
  const addresses = [...html.matchAll(/\b(?:https?:)?\/\/[\w.-]+\S*/g)].map(([text]) => text);
  assertEquals(addresses.map((text) => text.replace(/".*/, "")), ["http://www.w3.org/2000/svg"]);
  const script = /<script>([^]+)<\/script>/.exec(html)![1]!;
  new Function(script);
  const cases = [
    ["/none", {}, 404],
    ["/../deno.json", {}, 404],
    ["/events", { method: "POST" }, 405],
  ] as const;
  for (const [path, init, status] of cases) {
    const response = await get(path, init);
    assertEquals([path, response.status], [path, status]);
    assert(/^[a-z].+\n$/.test(await response.text()));
  }
});

/** The first line of the answer to a request of raw bytes. */
async function rawStatus(port: number, request: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request));
  const bytes = new Uint8Array(1024);
  const n = await connection.read(bytes) ?? 0;
  return new TextDecoder().decode(bytes.subarray(0, n)).split("\r\n")[0]!;
}

Deno.test("a page of another name is refused, however its name was made to lead here", async () => {
  await using server = LiveServer.start(0);
  const port = Number(new URL(server.url).port);
  const status = (host: string) => rawStatus(port, `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  assertEquals(await status(`localhost:${port}`), "HTTP/1.1 200 OK");
  assertEquals(await status(`127.0.0.1:${port}`), "HTTP/1.1 200 OK");
  assertEquals(await status(`evil.example:${port}`), "HTTP/1.1 403 Forbidden");
});

Deno.test("events reach a browser as they happen, and the end before the server goes", async () => {
  const server = LiveServer.start(0);
  const response = await fetch(new URL("/events", server.url));
  const events = eventsOf(response.body!);
  assertEquals(((await events.next()).value as Event).name, "snapshot");
  server.feed.step(lines(1));
  assertEquals(((await events.next()).value as Event).name, "step");
  server.feed.end("done");
  await server[Symbol.asyncDispose]();
  const rest = await Array.fromAsync(events);
  assertEquals(rest, [{ name: "end", data: "done" }]);
});

Deno.test("neither a silent nor a stuck client keeps the server from going", async () => {
  const server = LiveServer.start(0);
  const port = Number(new URL(server.url).port);
  using _silent = await Deno.connect({ hostname: "127.0.0.1", port });
  using stuck = await Deno.connect({ hostname: "127.0.0.1", port });
  await stuck.write(new TextEncoder().encode(
    `GET /events HTTP/1.1\r\nhost: localhost:${port}\r\n\r\n`,
  ));
  while (server.feed.clients === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const completion = "x".repeat(1_000_000);
  const start = performance.now();
  for (let step = 1; step <= 40; step++) {
    server.feed.step({
      line: line(step),
      completions: [{ "training/global_step": step, completion }],
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(server.feed.clients, 0);
  server.feed.end("done");
  await server[Symbol.asyncDispose]();
  const seconds = (performance.now() - start) / 1000;
  assert(seconds < 5, `${seconds} s`);
});

Deno.test("a port that is in use or not allowed is refused with what to do", async () => {
  await using server = LiveServer.start(0);
  const port = Number(new URL(server.url).port);
  assertThrows(
    () => LiveServer.start(port),
    Deno.errors.AddrInUse,
    `port ${port} is in use: give --serve another one, or 0 for any that is free`,
  );
});
