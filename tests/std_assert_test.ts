/**
 * Checks that each assertion the tests rely on passes when it should and, above all, fails when it
 * should. Holds for the stand-in and for the real `@std/assert` alike.
 *
 * @module
 */

import nodeAssert from "node:assert";
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  fail,
} from "@std/assert";

function raise(error: unknown): never {
  throw error;
}

const range = () => raise(new RangeError("x must be >= 0: got -1"));

const passing: Record<string, () => void> = {
  assert: () => assert(1),
  assertEquals: () => {
    assertEquals(new Float32Array([1, NaN]), new Float32Array([1, NaN]));
    assertEquals(new Map([["a", [1]]]), new Map([["a", [1]]]));
  },
  assertNotEquals: () => assertNotEquals({ a: 1 }, { a: 2 }),
  assertStrictEquals: () => assertStrictEquals(NaN, NaN),
  assertAlmostEquals: () => {
    assertAlmostEquals(1, 1 + 5e-8);
    assertAlmostEquals(0.01, 0.02, 0.1);
    assertAlmostEquals(Infinity, Infinity);
  },
  assertExists: () => assertExists(0),
  assertInstanceOf: () => assertInstanceOf(new RangeError(), Error),
  assertGreater: () => assertGreater(2, 1),
  assertGreaterOrEqual: () => assertGreaterOrEqual(1, 1),
  assertLess: () => assertLess(1, 2),
  assertLessOrEqual: () => assertLessOrEqual(1, 1),
  assertMatch: () => assertMatch("abc", /b/),
  assertStringIncludes: () => assertStringIncludes("abc", "bc"),
  assertArrayIncludes: () => assertArrayIncludes([{ a: 1 }, { a: 2 }], [{ a: 2 }]),
  assertThrows: () => {
    assertInstanceOf(assertThrows(range), RangeError);
    assertStringIncludes(assertThrows(range, RangeError, ">= 0").message, "-1");
  },
};

const failing: Record<string, (() => void)[]> = {
  assert: [() => assert(0), () => assert("")],
  fail: [() => fail("why")],
  assertEquals: [
    () => assertEquals([1, 2], [1, 3]),
    () => assertEquals<object>(new Float32Array([1]), [1]),
    () => assertEquals<object>({ a: 1 }, { a: 1, b: undefined }),
  ],
  assertNotEquals: [() => assertNotEquals([1], [1])],
  assertStrictEquals: [() => assertStrictEquals({}, {})],
  assertAlmostEquals: [
    () => assertAlmostEquals(1, 1 + 5e-7),
    () => assertAlmostEquals(NaN, 1),
    () => assertAlmostEquals(1, NaN, 10),
    () => assertAlmostEquals(1e-9, 0),
  ],
  assertExists: [() => assertExists(null), () => assertExists(undefined)],
  assertInstanceOf: [() => assertInstanceOf(new Error(), RangeError)],
  assertGreater: [() => assertGreater(1, 1), () => assertGreater(NaN, 1)],
  assertGreaterOrEqual: [() => assertGreaterOrEqual(0, 1)],
  assertLess: [() => assertLess(1, 1), () => assertLess(NaN, 1)],
  assertLessOrEqual: [() => assertLessOrEqual(2, 1)],
  assertMatch: [() => assertMatch("abc", /d/)],
  assertStringIncludes: [() => assertStringIncludes("abc", "d")],
  assertArrayIncludes: [() => assertArrayIncludes([1, 2], [2, 3])],
  assertThrows: [
    () => assertThrows(() => 1),
    () => assertThrows(range, TypeError),
    () => assertThrows(range, RangeError, "another message"),
  ],
};

Deno.test("@std/assert assertions pass when they hold", () => {
  for (const check of Object.values(passing)) check();
});

Deno.test("@std/assert assertions fail with an AssertionError when they do not hold", () => {
  for (const [name, checks] of Object.entries(failing)) {
    checks.forEach((check, i) => nodeAssert.throws(check, AssertionError, `${name}, case ${i}`));
  }
});

Deno.test("assertRejects() takes a rejection only, of the class and message asked for", async () => {
  const rejecting = () => Promise.reject(new RangeError("x must be >= 0"));
  assertInstanceOf(await assertRejects(rejecting), RangeError);
  assertEquals((await assertRejects(rejecting, RangeError, ">= 0")).name, "RangeError");
  const cases = [
    () => assertRejects(() => Promise.resolve(1)),
    () => assertRejects(rejecting, TypeError),
    () => assertRejects(rejecting, RangeError, "another message"),
    () => assertRejects(() => raise(new RangeError("not asynchronous"))),
  ];
  for (const check of cases) {
    await nodeAssert.rejects(check, AssertionError);
  }
});
