/** Seeded numbers for tests, from a generator of their own (mulberry32). */

/** A stream of uniforms in [0, 1), multiples of 2^-32. */
export function uniformStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * `n` normal numbers with standard deviation `scale`.
 *
 * They are float32, so that a float64 reference and a float32 kernel start from equal inputs.
 */
export function randomArray(seed: number, n: number, scale = 1): Float32Array<ArrayBuffer> {
  const key = `${seed} ${scale}`;
  let drawn = normals.get(key);
  if (!drawn || drawn.length < n) {
    const next = uniformStream(seed);
    drawn = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - next()));
      drawn[i] = scale * radius * Math.cos(2 * Math.PI * next());
    }
    normals.set(key, drawn);
  }
  return drawn.slice(0, n);
}

/** The longest array by seed and scale, of which the shorter ones are beginnings: tests want the same ones again and again. */
const normals = new Map<string, Float32Array<ArrayBuffer>>();

/** `n` float32 numbers uniform on [low, high). */
export function randomUniform(
  seed: number,
  n: number,
  low = 0,
  high = 1,
): Float32Array<ArrayBuffer> {
  const next = uniformStream(seed);
  return Float32Array.from({ length: n }, () => low + (high - low) * next());
}

/** `n` integers in 0 … bound - 1. */
export function randomIntegers(seed: number, n: number, bound: number): Uint32Array<ArrayBuffer> {
  const next = uniformStream(seed);
  return Uint32Array.from({ length: n }, () => Math.floor(next() * bound));
}
