/**
 * The live page of a run, served to this machine only.
 *
 * @module
 */

import page from "./live_page.html" with { type: "text" };
import { LiveFeed } from "./live_feed.ts";

/** The only address that is listened on. */
const HOST = "127.0.0.1";

/** Names a browser on this machine may have asked for; another one is a foreign page's trick. */
const OWN_NAMES: ReadonlySet<string> = new Set([HOST, "localhost"]);

/** Milliseconds that clients get to fetch the last event. */
const GRACE = 300;

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; " +
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** A feed and the server that its page is fetched from. */
export class LiveServer implements AsyncDisposable {
  /** What the page is told. */
  readonly feed: LiveFeed = new LiveFeed();
  /** Where the page is. */
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();
  /** Answers on their way. */
  readonly #answering = new Set<Promise<void>>();

  private constructor(port: number) {
    this.#server = Deno.serve({
      hostname: HOST,
      port,
      signal: this.#abort.signal,
      onListen: () => {},
    }, (request, { completed }) => {
      this.#answering.add(completed);
      const done = () => void this.#answering.delete(completed);
      // Fails where the client went away first.
      completed.then(done, done);
      return respond(this.feed, request);
    });
    this.url = `http://${HOST}:${this.#server.addr.port}/`;
  }

  /**
   * Begins to listen.
   *
   * @param port The port; 0 for any that is free.
   * @throws {Deno.errors.AddrInUse} If another program listens there, saying what to do.
   */
  static start(port: number): LiveServer {
    try {
      return new LiveServer(port);
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) {
        throw new Deno.errors.AddrInUse(
          `port ${port} is in use: give --serve another one, or 0 for any that is free`,
        );
      }
      if (error instanceof Deno.errors.PermissionDenied) {
        throw new Deno.errors.PermissionDenied(
          `port ${port} is reserved: give --serve one from 1024 to 65535`,
        );
      }
      throw error;
    }
  }

  /** Stops listening; whoever is still connected gets a moment for the last event. */
  async [Symbol.asyncDispose](): Promise<void> {
    let late: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise((resolve) => late = setTimeout(resolve, GRACE));
    await Promise.race([Promise.allSettled(this.#answering), grace]);
    clearTimeout(late);
    this.#abort.abort();
    await this.#server.finished;
  }
}

function respond(feed: LiveFeed, request: Request): Response {
  const { pathname, hostname } = new URL(request.url);
  const refuse = (status: number, text: string) =>
    new Response(`${text}\n`, { status, headers: HEADERS });
  if (!OWN_NAMES.has(hostname)) return refuse(403, "this page is for this machine only");
  if (request.method !== "GET") return refuse(405, "this page is only for reading");
  if (pathname === "/") {
    return new Response(page, {
      headers: { ...HEADERS, "content-type": "text/html; charset=utf-8" },
    });
  }
  if (pathname !== "/events") return refuse(404, "there is / and /events");
  const events = feed.connect();
  if (!events) return refuse(503, "too many pages are open");
  return new Response(events, {
    headers: { ...HEADERS, "content-type": "text/event-stream; charset=utf-8" },
  });
}
