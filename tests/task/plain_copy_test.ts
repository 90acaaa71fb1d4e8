import { assert, assertEquals } from "@std/assert";
import { plainCopy } from "../../src/task/plain_copy.ts";

Deno.test("plainCopy() copies lists and plain objects, and shares the rest", () => {
  const when = new Date(0);
  const check = () => 1;
  const value = { a: [1, { b: [2] }], when, check, none: null };
  const copy = plainCopy(value);
  assertEquals(copy, value);
  assert(copy !== value && copy.a !== value.a && copy.a[1] !== value.a[1]);
  assert(copy.when === when && copy.check === check);
  // What JSON.parse can make, and what it cannot.
  const odd = JSON.parse('{"__proto__": {"x": 1}}');
  assertEquals(Object.keys(plainCopy(odd)), ["__proto__"]);
  assertEquals(Object.getPrototypeOf(plainCopy(odd)), Object.prototype);
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const round = plainCopy(circle);
  assert(round !== circle && round.self === round);
});
