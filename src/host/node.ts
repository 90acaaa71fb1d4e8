/**
 * The host that Node is, and, where its modules are missing, a page. The modules are asked for at run time, so that bundlers
 * and pages meet no import of them.
 *
 * @module
 */

import type { ErrorKind, Hash, Host, HostErrors, HostFiles, OpenFileOptions } from "./contract.ts";
import { NodeFile, type NodeFs, type NodeStats } from "./node_file.ts";

/** What is used of Node's `process`. */
interface Process {
  readonly version: string;
  readonly platform: string;
  getBuiltinModule?(name: string): unknown;
}

/** What is used of `node:os`. */
interface NodeOs {
  freemem(): number;
}

/** What is used of `node:util`. */
interface NodeUtil {
  inspect(value: unknown, options: { depth: number }): string;
}

/** What is used of `node:crypto`. */
interface NodeCrypto {
  createHash(name: "sha256"): Hash;
}

const { process } = globalThis as { process?: Process };

function builtin<T>(name: string): T | undefined {
  return process?.getBuiltinModule?.(name) as T | undefined;
}

/** One of Node's modules, or the reason why there is none. */
function needed<T>(name: string, what: string): T {
  const found = builtin<T>(name);
  if (found) return found;
  throw new Error(
    process?.version
      ? `${what} needs Node 20.16, 22.3 or later: this is ${process.version}`
      : `${what} is not to be had in a page: keep bytes in memory instead (policy.parameters.read and write, ` +
        "encodeSafetensors, decodeSafetensors)",
  );
}

/** An error whose name is that of its class. */
function kind(name: string): ErrorKind {
  return class extends Error {
    override readonly name = name;
  };
}

const errors: HostErrors = {
  NotFound: kind("NotFound"),
  AlreadyExists: kind("AlreadyExists"),
  IsADirectory: kind("IsADirectory"),
  NotADirectory: kind("NotADirectory"),
};

/** Kinds of errors by the codes of the system. */
const KINDS: Readonly<Record<string, ErrorKind>> = {
  ENOENT: errors.NotFound,
  EEXIST: errors.AlreadyExists,
  EISDIR: errors.IsADirectory,
  ENOTDIR: errors.NotADirectory,
};

/** Does something with files; what fails is told by its kind. */
function using<T>(use: (fs: NodeFs) => T): T {
  const fs = needed<NodeFs>("node:fs", "A file");
  try {
    return use(fs);
  } catch (error) {
    throw ofKind(error);
  }
}

/** {@linkcode using} of what answers later. */
async function usingLater<T>(use: (fs: NodeFs["promises"]) => Promise<T>): Promise<T> {
  const fs = needed<NodeFs>("node:fs", "A file");
  try {
    return await use(fs.promises);
  } catch (error) {
    throw ofKind(error);
  }
}

function ofKind(error: unknown): unknown {
  const Kind = KINDS[(error as { code?: string }).code ?? ""];
  return Kind ? Object.assign(new Kind((error as Error).message), { cause: error }) : error;
}

/** Flags of `fs.open`. */
function flagsOf(fs: NodeFs, options: OpenFileOptions): number {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = fs.constants;
  const { read = !options.write, write, create, createNew, truncate } = options;
  return (write ? read ? O_RDWR : O_WRONLY : O_RDONLY) | (create ? O_CREAT : 0) |
    (createNew ? O_CREAT | O_EXCL : 0) | (truncate ? O_TRUNC : 0);
}

function entryOf(name: string, stats: NodeStats) {
  return { name, isFile: stats.isFile(), isDirectory: stats.isDirectory() };
}

const files: HostFiles = {
  // deno-lint-ignore require-await -- fails as a promise does
  async open(path, options = {}) {
    return files.openSync(path, options);
  },
  openSync: (path, options = {}) =>
    using((fs) => new NodeFile(fs, fs.openSync(path, flagsOf(fs, options), 0o666))),
  readFile: (path) => usingLater((fs) => fs.readFile(path)),
  readFileSync: (path) => using((fs) => fs.readFileSync(path)),
  readTextFile: (path) => usingLater((fs) => fs.readFile(path, "utf8")),
  async *readDir(path) {
    yield* files.readDirSync(path);
  },
  readDirSync: (path) =>
    using((fs) =>
      fs.readdirSync(path, { withFileTypes: true }).map((entry) => entryOf(entry.name, entry))
    ),
  stat: (path) => usingLater(async (fs) => entryOf(path, await fs.stat(path))),
  mkdir: (path, options) => usingLater(async (fs) => void await fs.mkdir(path, options)),
  rename: (from, to) => usingLater((fs) => fs.rename(from, to)),
  remove: (path, options) => usingLater((fs) => fs.rm(path, options)),
};

/** Names of files where there are none: enough for messages. */
const pagePaths: Host["paths"] = {
  join: (...parts) => parts.filter((part) => part !== "").join("/"),
  dirname: (path) => path.replace(/\/?[^/]*$/, "") || ".",
  basename: (path) => path.replace(/^.*\//, ""),
  resolve: (path) => path,
  isAbsolute: (path) => path.startsWith("/"),
};

/** What is there of Node. */
export function nodeHost(): Host {
  return {
    name: process?.version ? "node" : "page",
    version: process?.version.slice(1) ?? "",
    files,
    errors,
    paths: builtin<Host["paths"]>("node:path") ?? pagePaths,
    syncsFolders: process?.platform !== "win32",
    sha256: () => needed<NodeCrypto>("node:crypto", "SHA-256").createHash("sha256"),
    freeMemory: () => builtin<NodeOs>("node:os")?.freemem(),
    inspect: (value) =>
      builtin<NodeUtil>("node:util")?.inspect(value, { depth: 1 }) ?? shown(value),
    linuxVariables: () => undefined,
  };
}

/** A value in a page: JSON where it has any. */
function shown(value: unknown): string {
  if (typeof value === "number" || typeof value === "function") return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
