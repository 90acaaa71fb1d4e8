/**
 * An open file of Node's, with a position as Deno's has one.
 *
 * @module
 */

import type { HostFile } from "./contract.ts";

/** What is used of `fs.Stats` and `fs.Dirent`. */
export interface NodeStats {
  /** Whether it is a file. */
  isFile(): boolean;
  /** Whether it is a folder. */
  isDirectory(): boolean;
}

/** What is used of `node:fs`. */
export interface NodeFs {
  readonly constants: Readonly<
    Record<"O_RDONLY" | "O_WRONLY" | "O_RDWR" | "O_CREAT" | "O_EXCL" | "O_TRUNC", number>
  >;
  openSync(path: string, flags: number, mode: number): number;
  readSync(fd: number, into: Uint8Array, offset: number, length: number, at: number): number;
  writeSync(fd: number, bytes: Uint8Array, offset: number, length: number, at: number): number;
  read(
    ...args: [number, Uint8Array, number, number, number, (e: unknown, n: number) => void]
  ): void;
  write(
    ...args: [number, Uint8Array, number, number, number, (e: unknown, n: number) => void]
  ): void;
  fstatSync(fd: number): { size: number };
  ftruncateSync(fd: number, length: number): void;
  fsync(fd: number, done: (error: unknown) => void): void;
  fsyncSync(fd: number): void;
  closeSync(fd: number): void;
  readFileSync(path: string): Uint8Array<ArrayBuffer>;
  readdirSync(path: string, options: { withFileTypes: true }): (NodeStats & { name: string })[];
  readonly promises: {
    readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
    readFile(path: string | URL, encoding: "utf8"): Promise<string>;
    stat(path: string): Promise<NodeStats>;
    mkdir(path: string, options?: { recursive?: boolean }): Promise<unknown>;
    rename(from: string, to: string): Promise<void>;
    rm(path: string, options?: { recursive?: boolean }): Promise<void>;
  };
}

/** An open file. */
export class NodeFile implements HostFile {
  readonly #fs: NodeFs;
  readonly #fd: number;
  #at = 0;

  /**
   * @param fs Node's files.
   * @param fd The file, opened.
   */
  constructor(fs: NodeFs, fd: number) {
    [this.#fs, this.#fd] = [fs, fd];
  }

  /** Reads up to as many bytes as `into` has; `null` at the end. */
  async read(into: Uint8Array): Promise<number | null> {
    const n = await this.#later(this.#fs.read, into);
    return n === 0 && into.length > 0 ? null : n;
  }

  /** Writes bytes and returns how many. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#later(this.#fs.write, bytes);
  }

  /** Writes bytes at once and returns how many. */
  writeSync(bytes: Uint8Array): number {
    const n = this.#fs.writeSync(this.#fd, bytes, 0, bytes.length, this.#at);
    this.#at += n;
    return n;
  }

  /** Goes to a byte. */
  // deno-lint-ignore require-await -- fails as a promise does
  async seek(offset: number, whence: 0 | 2): Promise<number> {
    return this.seekSync(offset, whence);
  }

  /** Goes to a byte. */
  seekSync(offset: number, whence: 0 | 2): number {
    return this.#at = whence === 0 ? offset : this.#fs.fstatSync(this.#fd).size + offset;
  }

  /** Cuts the file off. */
  truncateSync(length: number): void {
    this.#fs.ftruncateSync(this.#fd, length);
  }

  /** Its length. */
  // deno-lint-ignore require-await -- fails as a promise does
  async stat(): Promise<{ size: number }> {
    return this.#fs.fstatSync(this.#fd);
  }

  /** Brings it to disk. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#fs.fsync(this.#fd, (error) => error ? reject(error) : resolve())
    );
  }

  /** Brings it to disk at once. */
  syncSync(): void {
    this.#fs.fsyncSync(this.#fd);
  }

  /** Closes it. */
  close(): void {
    this.#fs.closeSync(this.#fd);
  }

  async #later(transfer: NodeFs["read"], bytes: Uint8Array): Promise<number> {
    const n = await new Promise<number>((resolve, reject) =>
      transfer(
        this.#fd,
        bytes,
        0,
        bytes.length,
        this.#at,
        (error, n) => error ? reject(error) : resolve(n),
      )
    );
    this.#at += n;
    return n;
  }
}
