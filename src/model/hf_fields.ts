/**
 * Reading single settings of a config.json.
 *
 * @module
 */

/** A parsed config.json, or an object in it. */
export type HuggingFaceConfig = Record<string, unknown>;

/**
 * Refuses a setting by name.
 *
 * @param allowed What is supported, and what to do.
 */
export function refuse(field: string, value: unknown, allowed: string): never {
  throw new TypeError(
    `config.json: ${field} is ${JSON.stringify(value)}, which is not supported: ${allowed}`,
  );
}

/**
 * The number at `field`.
 *
 * @param options `fallback` where it is absent or null, without one it is required; `in` names the object it lies in.
 */
export function readNumber(
  json: HuggingFaceConfig,
  field: string,
  options: { readonly fallback?: number | undefined; readonly in?: string } = {},
): number {
  const value = json[field] ?? options.fallback;
  const path = options.in === undefined ? field : `${options.in}.${field}`;
  if (value === undefined) throw new TypeError(`config.json: ${path} is missing`);
  if (typeof value !== "number") {
    throw new TypeError(`config.json: ${path} is ${JSON.stringify(value)}: a number is needed`);
  }
  return value;
}

/** The flag at `field`, `fallback` where it is absent or null. */
export function readBoolean(json: HuggingFaceConfig, field: string, fallback = false): boolean {
  const value = json[field] ?? fallback;
  if (typeof value !== "boolean") {
    throw new TypeError(
      `config.json: ${field} is ${JSON.stringify(value)}: true or false is needed`,
    );
  }
  return value;
}
