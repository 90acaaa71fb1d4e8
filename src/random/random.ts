/**
 * Counter-based random numbers on the host.
 *
 * A number is a pure function of (seed, stream, counter), so drawing in another order, resuming a
 * run or repeating one example never changes what is drawn. The GPU sampler uses the same cipher.
 *
 * @module
 */

/** Rotation distances of Threefry-2x32, repeating every eight rounds. */
const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
/** The key-schedule constant of Threefish for 32-bit words. */
const PARITY = 0x1bd11bda;

/**
 * Threefry-2x32 with 20 rounds: two uniform 32-bit words from a 64-bit key and a 64-bit counter
 * (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * Every argument is read modulo 2^32.
 *
 * @returns two integers in [0, 2^32)
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(threefry2x32(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
 * ```
 */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  let [a, b, c] = [key0 | 0, key1 | 0, PARITY ^ key0 ^ key1];
  let x = (counter0 + a) | 0;
  let y = (counter1 + b) | 0;
  for (let injection = 1; injection <= 5; injection++) {
    const from = injection % 2 === 1 ? 0 : 4;
    for (let round = from; round < from + 4; round++) {
      const distance = ROTATIONS[round]!;
      x = (x + y) | 0;
      y = ((y << distance) | (y >>> (32 - distance))) ^ x;
    }
    x = (x + b) | 0;
    y = (y + c + injection) | 0;
    [a, b, c] = [b, c, a];
  }
  return [x >>> 0, y >>> 0];
}

/** Set in the second counter word when deriving a stream, so that no draw shares its counter. */
const DERIVE = 0x80000000;

function words(name: string, value: number): [number, number] {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name} must be an integer from 0 to 2^53 - 1, got ${value}`);
  }
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}

/**
 * A stream of random numbers, independent for every (seed, ...stream).
 *
 * Streams are derived by enciphering one number after the other, so `new Random(seed, purpose,
 * index)` is a pure function of its arguments and nearby numbers give unrelated streams.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const DATA = 1;
 * assertEquals(new Random(42, DATA, 7).integer(10), new Random(42, DATA, 7).integer(10));
 * ```
 */
export class Random {
  readonly #key: readonly [number, number];
  #block = 0;
  #spare: number | undefined;

  /**
   * Starts the stream; its words 2k and 2k + 1 are `threefry2x32(...key, k)`, where a stream of no
   * parts has the low and the high word of the seed as its key.
   *
   * @param seed the run's seed, an integer from 0 to 2^53 - 1
   * @param stream what the numbers are for, each an integer from 0 to 2^53 - 1
   * @throws {RangeError} if a number is not such an integer
   */
  constructor(seed: number, ...stream: number[]) {
    let key = words("seed", seed);
    for (const part of stream) {
      const [low, high] = words("stream", part);
      key = threefry2x32(key[0], key[1], low, high | DERIVE);
    }
    this.#key = key;
  }

  /** The next integer in [0, 2^32). */
  next(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const block = this.#block++;
    const [key0, key1] = this.#key;
    const [first, second] = threefry2x32(key0, key1, block >>> 0, Math.floor(block / 2 ** 32));
    this.#spare = second;
    return first;
  }

  /** The next number in [0, 1), a multiple of 2^-53. */
  uniform(): number {
    const high = this.next() >>> 5;
    const low = this.next() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /**
   * The next integer in [0, n), every one equally likely.
   *
   * @throws {RangeError} if n is not an integer from 1 to 2^32
   */
  integer(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new RangeError(`n must be an integer from 1 to 2^32, got ${n}`);
    }
    // Words past the last whole multiple of n would favour small remainders: draw again.
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word = this.next();
    while (word >= limit) word = this.next();
    return word % n;
  }

  /** The next number from the normal distribution with mean 0 and variance 1 (Box and Muller). */
  normal(): number {
    // 1 - uniform is never 0, so its logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /**
   * One element of `list`, every one equally likely.
   *
   * @throws {RangeError} if the list is empty
   */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError("list must have an element to pick, got none");
    return list[this.integer(list.length)]!;
  }

  /** Puts `list` in random order, in place, every order equally likely, and returns it. */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
    return list;
  }
}
