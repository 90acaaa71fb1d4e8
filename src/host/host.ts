/**
 * What the library asks of where it runs: files, the memory that is free, SHA-256. Deno has all of it, Node as well; a page
 * has no files, and is told so by an error when one is asked for.
 *
 * Nothing else that the library loads names Deno or imports a module of Node's, and this file imports none either: it asks
 * for what there is when it is loaded.
 *
 * @module
 */

import type { Host, HostErrors, HostFiles } from "./contract.ts";
import { nodeHost } from "./node.ts";

export type { HostFile } from "./contract.ts";

function denoHost(deno: typeof Deno, node: Host): Host {
  return {
    ...node,
    name: "deno",
    version: deno.version.deno,
    files: deno,
    errors: deno.errors,
    syncsFolders: deno.build.os !== "windows",
    freeMemory() {
      const permission = { name: "sys", kind: "systemMemoryInfo" } as const;
      if (deno.permissions.querySync(permission).state !== "granted") return undefined;
      return deno.systemMemoryInfo().available;
    },
    inspect: (value) => deno.inspect(value, { depth: 1 }),
    linuxVariables(name) {
      if (deno.build.os !== "linux") return undefined;
      const { state } = deno.permissions.querySync({ name: "env", variable: name });
      return state === "granted" ? deno.env : undefined;
    },
  };
}

const { Deno: deno } = globalThis as { Deno?: typeof Deno };

/** Where the library runs. */
export const host: Host = deno ? denoHost(deno, nodeHost()) : nodeHost();

/** Its files. */
export const fs: HostFiles = host.files;

/** Kinds of errors of its files. */
export const errors: HostErrors = host.errors;
