/**
 * What the library asks of where it runs.
 *
 * @module
 */

/** An open file. */
export interface HostFile {
  /** Reads up to as many bytes as `into` has; `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes at least one byte and returns how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** {@linkcode write}, at once. */
  writeSync(bytes: Uint8Array): number;
  /** Goes to a byte, counted from the beginning (0) or from the end (2). */
  seek(offset: number, whence: 0 | 2): Promise<number>;
  /** {@linkcode seek}, at once. */
  seekSync(offset: number, whence: 0 | 2): number;
  /** Cuts the file off. */
  truncateSync(length: number): void;
  /** Its length in bytes. */
  stat(): Promise<{ size: number }>;
  /** Brings it to disk. */
  sync(): Promise<void>;
  /** {@linkcode sync}, at once. */
  syncSync(): void;
  /** Closes it. */
  close(): void;
}

/** How a file is opened: for reading where nothing is said. */
export interface OpenFileOptions {
  /** For reading. */
  read?: boolean;
  /** For writing. */
  write?: boolean;
  /** Made where it is not there. */
  create?: boolean;
  /** Made, and refused where it is there. */
  createNew?: boolean;
  /** Emptied. */
  truncate?: boolean;
}

/** A name in a folder, and what it is. */
export interface FolderEntry {
  /** The name. */
  name: string;
  /** Whether it is a file. */
  isFile: boolean;
  /** Whether it is a folder. */
  isDirectory: boolean;
}

/** Files as Deno has them. Each function fails with an error of {@linkcode errors} where it can. */
export interface HostFiles {
  /** Opens a file. */
  open(path: string, options?: OpenFileOptions): Promise<HostFile>;
  /** {@linkcode open}, at once. */
  openSync(path: string, options?: OpenFileOptions): HostFile;
  /** All bytes of a file. */
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** {@linkcode readFile}, at once. */
  readFileSync(path: string): Uint8Array<ArrayBuffer>;
  /** All of a file as text. */
  readTextFile(path: string | URL): Promise<string>;
  /** What is in a folder. */
  readDir(path: string): AsyncIterable<FolderEntry>;
  /** {@linkcode readDir}, at once. */
  readDirSync(path: string): Iterable<FolderEntry>;
  /** Whether what is there is a folder. */
  stat(path: string): Promise<{ isDirectory: boolean }>;
  /** Makes a folder. */
  mkdir(path: string, options?: { recursive?: boolean }): Promise<void>;
  /** Renames a file or a folder. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a folder. */
  remove(path: string, options?: { recursive?: boolean }): Promise<void>;
}

/** Makes an error of a kind that can be told from others. */
export type ErrorKind = new (message?: string) => Error;

/** Kinds of errors of files. */
export interface HostErrors {
  /** There is no such file or folder. */
  NotFound: ErrorKind;
  /** There is one already. */
  AlreadyExists: ErrorKind;
  /** It is a folder, and a file was asked for. */
  IsADirectory: ErrorKind;
  /** A part of the path is a file. */
  NotADirectory: ErrorKind;
}

/** A SHA-256 of what it is given. */
export interface Hash {
  /** Adds a text, as UTF-8, or bytes. */
  update(data: string | Uint8Array): Hash;
  /** What all of it comes to. */
  digest(encoding: "hex"): string;
}

/** Names of files. */
export interface Paths {
  /** Puts parts together. */
  join(...parts: string[]): string;
  /** The folder of a path. */
  dirname(path: string): string;
  /** The last name of a path. */
  basename(path: string): string;
  /** The path from the root. */
  resolve(path: string): string;
  /** Whether a path begins at the root. */
  isAbsolute(path: string): boolean;
}

/** Where the library runs. */
export interface Host {
  /** What it is. */
  readonly name: "deno" | "node" | "page";
  /** Its version; empty for a page. */
  readonly version: string;
  /** Its files. */
  readonly files: HostFiles;
  /** Kinds of errors of its files. */
  readonly errors: HostErrors;
  /** Its names of files. */
  readonly paths: Paths;
  /** Whether folders can be brought to disk; Windows does not open them. */
  readonly syncsFolders: boolean;
  /** A new SHA-256. */
  sha256(): Hash;
  /** Bytes of memory that are free, where the program may know. */
  freeMemory(): number | undefined;
  /** A value as messages show it, one level deep. */
  inspect(value: unknown): string;
  /** Variables of the environment on Linux, if the program may read and set `name`. */
  linuxVariables(name: string): Pick<typeof Deno.env, "get" | "set" | "delete"> | undefined;
}
