import { assert, assertEquals } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { evaluateArithmetic } from "../../src/text/arithmetic.ts";

Deno.test("evaluateArithmetic() has Python's grammar, precedence and values", () => {
  // Right-hand sides are what Python 3.11 prints.
  const cases: [text: string, value: number][] = [
    ["1 + 2 * 3 - 4 / 8", 6.5],
    ["8 - 3 - 2", 3],
    ["8 / 4 / 2", 1],
    ["(1+2)*3", 9],
    ["2 ** 3 ** 2", 512],
    ["-2 ** 2", -4],
    ["(-2) ** 2", 4],
    ["2 ** -1", 0.5],
    ["2 ** -1 ** 2", 0.5],
    ["2 ** - - 2", 4],
    ["-7 // 2", -4],
    ["7 // -2", -4],
    ["-7 // -2", 3],
    ["7.5 // 2", 3],
    ["7 // 2 * 2", 6],
    ["--3 + +-+2", 1],
    ["1/3*3", 1],
    ["10 ** 400 / 10 ** 399", 10],
    ["2 ** 0.5 * 2 ** 0.5", 2.0000000000000004],
    ["4 ** (1/2)", 2],
    ["8 ** 3.0", 512],
    ["0 ** 0", 1],
    ["(-1) ** 999999999999", -1],
    ["0 ** 999999999999", 0],
    [".5 + 5. + 1.25", 6.75],
    ["007.5 + 00", 7.5],
    [" \t1+\f1 ", 2],
    ["((((((((((1))))))))))", 1],
  ];
  for (const [text, value] of cases) assertEquals(evaluateArithmetic(text), value, text);
});

Deno.test("evaluateArithmetic() gives nothing for other texts, Python's other numbers and where Python fails", () => {
  const texts = [
    "",
    " ",
    "()",
    "1 2",
    "1 .5",
    "1.2.3",
    "2(3)",
    "(8)(3)",
    "08+3",
    "007",
    "1 +",
    "* 2",
    "1 / / 2",
    "1 * * 2",
    "1 ** * 2",
    "(1",
    "1)",
    ".",
    "...",
    "1,2",
    "1=1",
    "1e3",
    "1_000",
    "0x10",
    "1\n+1",
    "1\r+1",
    "1\u00a0+1",
    "٣ + 1",
    "2×3",
    "1/0",
    "1//0",
    "0**-1",
    "1/(3-3)",
    "(" + "(".repeat(200) + "1" + ")".repeat(200) + ")",
  ];
  for (const text of texts) assertEquals(evaluateArithmetic(text), undefined, text);
});

Deno.test("evaluateArithmetic() answers at once whatever the numbers", () => {
  const texts = [
    "44**19**35",
    "9**9**9**9",
    "(1/3)**(9**9)",
    "2**4096",
    "2**-999999",
    "15**4096",
    "1.0000001**99999999",
    "9".repeat(100_000),
    "(2**4000)*(2**4000)",
    "(2**0.5)**99999",
    "(-8)**(1/3)",
    "2**(2**0.5)**99",
    "1**".repeat(5000) + "1",
    "(".repeat(100_000),
    "-".repeat(100_000),
  ];
  const start = performance.now();
  for (const text of texts) assertEquals(evaluateArithmetic(text), undefined, text.slice(0, 20));
  // Long but harmless.
  assertEquals(evaluateArithmetic("1" + "+1".repeat(20_000)), 20_001);
  assertEquals(evaluateArithmetic("-".repeat(100_000) + "1"), 1);
  assert(performance.now() - start < 2000, `${performance.now() - start} ms`);
});

Deno.test("evaluateArithmetic() agrees with JavaScript on random expressions of safe numbers", () => {
  const random = new Random(1);
  const expression = (depth: number): string => {
    if (depth === 0 || random.uniform() < 0.2) return String(random.integer(50));
    const inner = `${expression(depth - 1)} ${random.pick([..."+-*/"])} ${expression(depth - 1)}`;
    return random.uniform() < 0.5 ? `(${inner})` : inner;
  };
  let values = 0;
  for (let i = 0; i < 2000; i++) {
    const text = expression(4);
    const expected: number = Function(`return ${text}`)();
    const value = evaluateArithmetic(text);
    if (!Number.isFinite(expected)) {
      assertEquals(value, undefined, text);
    } else if (value !== undefined) {
      values++;
      assert(Math.abs(value - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), text);
    } else {
      // A difference that doubles round away from zero is exactly zero here.
      assert(/\//.test(text), text);
    }
  }
  assert(values > 1500, `${values} values`);
});
