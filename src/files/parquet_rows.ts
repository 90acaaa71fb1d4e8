/**
 * Rows of parquet files, as data sets are published in. It loads a package, so nothing imports it before such a file is
 * read.
 *
 * @module
 */

import { fs } from "../host/host.ts";
import { parquetReadObjects } from "hyparquet";

/**
 * Reads all rows of a parquet file; uncompressed and Snappy columns.
 *
 * @param path The file; needs read permission.
 * @returns An object each. Integers of 64 bits are numbers where they fit, texts where they do not.
 * @throws {TypeError} Naming the file if it cannot be read.
 */
export async function parquetRows(path: string): Promise<Record<string, unknown>[]> {
  const bytes = await fs.readFile(path);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  try {
    return (await parquetReadObjects({ file })).map((row) => plain(row) as Record<string, unknown>);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new TypeError(
      `${path} cannot be read as parquet: ${message}. Give a file of JSON lines, or write it with Snappy ` +
        "or without compression",
      { cause: error },
    );
  }
}

/** A value as JSON could hold it. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? Number(value)
      : String(value);
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}
