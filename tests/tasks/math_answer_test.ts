import { assertEquals } from "@std/assert";
import { lastBoxed, sameMath, stripMath } from "../../src/tasks/math_answer.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };

const { get_answer_str, is_equiv, strip_string } = vectors.math_reward;

Deno.test("paper vectors: the last boxed answer, one spelling, and equal answers", () => {
  for (const [text, answer] of get_answer_str as string[][]) {
    assertEquals(lastBoxed(text!) ?? text, answer);
  }
  for (const [text, stripped] of strip_string as string[][]) {
    assertEquals(stripMath(text!), stripped, text);
  }
  for (const [a, b, equal] of is_equiv as [string, string, boolean][]) {
    // What the published code leaves to sympy is equal there: fractions have values.
    const expected = equal || (a === "\\frac{3}{5}" && b === "0.6");
    assertEquals(sameMath(a, b), expected, `${a} and ${b}`);
    assertEquals(sameMath(b, a), expected, `${b} and ${a}`);
  }
});

Deno.test("answers that differ are not the same", () => {
  const pairs = [
    ["1/2", "1/3"],
    ["\\frac{1}{0}", "\\frac{2}{0}"],
    ["12", "1,2"],
    ["(1,2)", "(2,1)"],
    ["x+1", "1"],
    ["-5", "5"],
    ["", "0"],
    ["1e3", "1000"],
    ["\\sqrt{2}", "2"],
    // Whole numbers are the same or not, however large; small ones are not all the same as 0.
    ["1099511627776", "1099511627777"],
    ["12345678901234567891", "12345678901234567890"],
    ["9".repeat(400), "8".repeat(400)],
    ["0.0000000001", "0.0000000002"],
    ["0.0000000001", "0"],
  ];
  for (const [a, b] of pairs) assertEquals(sameMath(a!, b!), false, `${a} and ${b}`);
  assertEquals(sameMath("-\\frac{1}{4}", "-0.25"), true);
  assertEquals(sameMath("1,234,567", "1234567"), true);
  assertEquals(sameMath("+0099511627776", "99511627776.0"), true);
  assertEquals(sameMath("12345678901234567890", "012345678901234567890"), true);
  assertEquals(sameMath("\\frac{2}{3}", "0.6666666667"), true);
});
