/** A small reader of safetensors files (F32 and F64) for the fixtures. */

/** One stored tensor. */
export interface StoredTensor {
  /** Dimensions, outermost first. */
  shape: number[];
  /** Elements in row-major order. */
  data: Float64Array;
}

/** All tensors of the file at `url`, by name, widened to float64. */
export function readSafetensors(url: URL): Map<string, StoredTensor> {
  const bytes = Deno.readFileSync(url);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> =
    JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const at = 8 + headerLength + start;
    const size = dtype === "F64" ? 8 : dtype === "F32" ? 4 : 0;
    if (size === 0) throw new TypeError(`${name} has dtype ${dtype}: F32 and F64 are read here`);
    const data = Float64Array.from(
      { length: (end - start) / size },
      (_, i) => size === 8 ? view.getFloat64(at + 8 * i, true) : view.getFloat32(at + 4 * i, true),
    );
    tensors.set(name, { shape, data });
  }
  return tensors;
}
