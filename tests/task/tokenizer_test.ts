import { assertEquals, assertThrows } from "@std/assert";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";

Deno.test("symbolTokenizer() numbers characters after padding and end of sequence", () => {
  const { vocabulary, padTokenId, eosTokenIds, encode, decode } = symbolTokenizer("ab ");
  assertEquals(vocabulary, ["<pad>", "<eos>", "a", "b", " "]);
  assertEquals([padTokenId, ...eosTokenIds], [0, 1]);
  assertEquals(encode("a b"), [2, 4, 3]);
  assertEquals(encode(""), []);
  assertEquals(decode([2, 4, 3, 1]), "a b");
  // Padding that a policy writes is no part of the right answer.
  assertEquals(decode([2, 0, 0, 1]), "a<pad><pad>");
  assertEquals(decode([2, 1, 9], { specialTokens: true }), "a<eos><9>");
  assertEquals(decode([2, 9, -1, 0.5, 1]), "a<9><-1><0.5>");
});

Deno.test("symbolTokenizer() takes the longest symbol and separates words by spaces", () => {
  const { encode, decode } = symbolTokenizer(["1", "10", "+", "=>", "="]);
  assertEquals(encode("10 + 1=>\n1 ="), [3, 4, 2, 5, 2, 6]);
  assertEquals(encode("110"), [2, 3]);
  assertEquals(decode([3, 4, 2, 5]), "10 + 1 =>");
});

Deno.test("symbolTokenizer() never reads its special tokens out of a text", () => {
  assertThrows(() => symbolTokenizer("a").encode("a<eos>"), RangeError, '"<eos>" begins with no');
  assertThrows(() => symbolTokenizer("a").encode("aé"), RangeError, "they are a");
});

Deno.test("symbolTokenizer() counts a character outside the basic plane as one", () => {
  const { encode, decode } = symbolTokenizer("🙂é");
  assertEquals(decode(encode("é🙂")), "é🙂");
});

Deno.test("symbolTokenizer() refuses symbols that cannot be told apart", () => {
  for (const symbols of ["", [""], "abca", ["<eos>"]]) {
    assertThrows(() => symbolTokenizer(symbols), RangeError, "symbols must be");
  }
});
