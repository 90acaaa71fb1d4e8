/**
 * Exact values of arithmetic expressions as Python writes them, without running anything.
 *
 * @module
 */

/** A fraction in lowest terms; the denominator is positive. */
interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Numbers with more bits than this, above or below the line, count as no value. */
const MAX_BITS = 4096;

/** Parentheses nested deeper than this count as no value, as in Python. */
const MAX_DEPTH = 200;

/** Says that an expression has no value. Never leaves this file. */
class NoValue extends Error {}

/**
 * The value of an expression of integers, decimals, `+ - * / // **`, signs and parentheses, by Python's grammar and
 * precedence.
 *
 * Values are exact fractions, so `1/3*3` is 1; a root (`2**0.5`) is as exact as a double. There is none for what is not
 * such an expression, for a division by zero, an even root of a negative number, and numbers beyond 4096 bits: a short
 * text cannot occupy the machine, as `9**9**9` would.
 *
 * @returns The value as a double, or `undefined` if there is none.
 *
 * @example
 * ```ts
 * import { evaluateArithmetic } from "@deltal/deltal/text";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(evaluateArithmetic("(44 - 19) + 35"), 60);
 * assertEquals(evaluateArithmetic("-2 ** 2 // 3"), -2);
 * assertEquals(evaluateArithmetic("2(3)"), undefined);
 * ```
 */
export function evaluateArithmetic(text: string): number | undefined {
  try {
    const value = toNumber(new Parser(tokensOf(text)).parse());
    return Number.isFinite(value) ? value : undefined;
  } catch (error) {
    if (error instanceof NoValue) return undefined;
    throw error;
  }
}

/** Operators, and numbers as Python writes them: no leading zero before an integer, but before a decimal. */
const TOKEN = /\s*(?:(\d+\.\d*|\.\d+|0+(?!\d)|[1-9]\d*)|(\*\*|\/\/|[-+*/()]))/y;

function tokensOf(text: string): (Fraction | string)[] {
  // Python ends an expression at a line break outside of parentheses, and knows no other white space.
  if (/[^\d+\-*/(). \t\f]/.test(text)) throw new NoValue();
  const tokens: (Fraction | string)[] = [];
  const trimmed = text.trimEnd();
  for (let at = 0; at < trimmed.length;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(trimmed);
    if (match === null) throw new NoValue();
    at = TOKEN.lastIndex;
    tokens.push(match[1] === undefined ? match[2]! : literal(match[1]));
  }
  return tokens;
}

function literal(text: string): Fraction {
  const [whole = "", decimals = ""] = text.split(".");
  if (whole.length + decimals.length > MAX_BITS / 4) throw new NoValue();
  return fraction(BigInt(whole + decimals), 10n ** BigInt(decimals.length));
}

/** Recursive descent over Python's arithmetic operators, loosest first. */
class Parser {
  readonly #tokens: readonly (Fraction | string)[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly (Fraction | string)[]) {
    this.#tokens = tokens;
  }

  parse(): Fraction {
    const value = this.#sum();
    if (this.#at < this.#tokens.length) throw new NoValue();
    return value;
  }

  /** Takes the next token if it is one of these operators. */
  #take(...operators: string[]): string | undefined {
    const token = this.#tokens[this.#at];
    if (typeof token !== "string" || !operators.includes(token)) return undefined;
    this.#at++;
    return token;
  }

  #sum(): Fraction {
    let left = this.#product();
    for (let operator; (operator = this.#take("+", "-")) !== undefined;) {
      const right = this.#product();
      left = operator === "+" ? add(left, right) : add(left, negate(right));
    }
    return left;
  }

  #product(): Fraction {
    let left = this.#signed();
    for (let operator; (operator = this.#take("*", "/", "//")) !== undefined;) {
      const right = this.#signed();
      left = operator === "*" ? multiply(left, right) : multiply(left, inverse(right));
      if (operator === "//") left = fraction(floor(left), 1n);
    }
    return left;
  }

  /** Signs bind looser than a power to their right: -2 ** 2 is -4. */
  #signed(): Fraction {
    let negative = false;
    for (let sign; (sign = this.#take("+", "-")) !== undefined;) {
      if (sign === "-") negative = !negative;
    }
    const value = this.#power();
    return negative ? negate(value) : value;
  }

  /** Powers group from the right, and an exponent may have signs: 2 ** -1. */
  #power(): Fraction {
    const base = this.#atom();
    if (this.#take("**") === undefined) return base;
    if (++this.#depth > MAX_DEPTH) throw new NoValue();
    const exponent = this.#signed();
    this.#depth--;
    return power(base, exponent);
  }

  #atom(): Fraction {
    const token = this.#tokens[this.#at++];
    if (typeof token === "object") return token;
    if (token !== "(" || ++this.#depth > MAX_DEPTH) throw new NoValue();
    const value = this.#sum();
    this.#depth--;
    if (this.#take(")") === undefined) throw new NoValue();
    return value;
  }
}

function fraction(numerator: bigint, denominator: bigint): Fraction {
  if (denominator === 0n) throw new NoValue();
  let [a, b] = [numerator < 0n ? -numerator : numerator, denominator];
  while (b !== 0n) [a, b] = [b, a % b];
  const result = { numerator: numerator / a, denominator: denominator / a };
  if (bits(result.numerator) > MAX_BITS || bits(result.denominator) > MAX_BITS) throw new NoValue();
  return result;
}

/** At least the bits of an integer, at most four more. */
function bits(value: bigint): number {
  return 4 * (value < 0n ? -value : value).toString(16).length;
}

function add(a: Fraction, b: Fraction): Fraction {
  return fraction(
    a.numerator * b.denominator + b.numerator * a.denominator,
    a.denominator * b.denominator,
  );
}

function negate({ numerator, denominator }: Fraction): Fraction {
  return { numerator: -numerator, denominator };
}

function multiply(a: Fraction, b: Fraction): Fraction {
  return fraction(a.numerator * b.numerator, a.denominator * b.denominator);
}

function inverse({ numerator, denominator }: Fraction): Fraction {
  return numerator < 0n ? fraction(-denominator, -numerator) : fraction(denominator, numerator);
}

function floor({ numerator, denominator }: Fraction): bigint {
  const quotient = numerator / denominator;
  return numerator < 0n && numerator % denominator !== 0n ? quotient - 1n : quotient;
}

function power(base: Fraction, exponent: Fraction): Fraction {
  if (exponent.denominator !== 1n) {
    const root = toNumber(base) ** toNumber(exponent);
    if (!Number.isFinite(root)) throw new NoValue();
    return exactly(root);
  }
  if (exponent.numerator < 0n) return power(inverse(base), negate(exponent));
  const { numerator, denominator } = base;
  const most = Math.max(bits(numerator), bits(denominator));
  const small = denominator === 1n && numerator >= -1n && numerator <= 1n;
  if (!small && exponent.numerator * BigInt(most - 4) > MAX_BITS) throw new NoValue();
  if (small) {
    const odd = exponent.numerator % 2n === 1n;
    return {
      numerator: exponent.numerator === 0n ? 1n : odd ? numerator : numerator ** 2n,
      denominator,
    };
  }
  if (exponent.numerator > MAX_BITS) throw new NoValue();
  return fraction(numerator ** exponent.numerator, denominator ** exponent.numerator);
}

/** The fraction that a double is. */
function exactly(value: number): Fraction {
  let denominator = 1n;
  while (!Number.isInteger(value)) {
    value *= 2;
    denominator *= 2n;
  }
  return fraction(BigInt(value), denominator);
}

/** The double nearest to a fraction, within a rounding or two. */
function toNumber({ numerator, denominator }: Fraction): number {
  const [n, d] = [Number(numerator), Number(denominator)];
  if (Number.isFinite(n) && Number.isFinite(d)) return n / d;
  // Both are too large for doubles: keep 64 bits of the quotient.
  const shift = BigInt(Math.max(0, bits(numerator) - bits(denominator) - 64));
  const whole = shift > 0n ? numerator / (denominator << shift) : (numerator << 64n) / denominator;
  return shift > 0n ? Number(whole) * 2 ** Number(shift) : Number(whole) / 2 ** 64;
}
