/**
 * Copies of plain data.
 *
 * @module
 */

/**
 * A copy of lists and plain objects, however deep; anything else in them, such as a date or a function, is shared.
 *
 * @param value What to copy.
 */
export function plainCopy<T>(value: T): T {
  return copyOf(value, new Map()) as T;
}

/** @param copied What was copied so far, for values that hold themselves. */
function copyOf(value: unknown, copied: Map<unknown, unknown>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (copied.has(value)) return copied.get(value);
  if (Array.isArray(value)) {
    const list: unknown[] = [];
    copied.set(value, list);
    for (const item of value) list.push(copyOf(item, copied));
    return list;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const object = Object.create(prototype);
  copied.set(value, object);
  for (const [name, item] of Object.entries(value)) {
    // An assignment would take a column named __proto__ for the prototype.
    Object.defineProperty(object, name, {
      value: copyOf(item, copied),
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return object;
}
