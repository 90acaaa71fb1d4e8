import { assert, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { groupCost, packGroups, type PromptGroup, splitGroups } from "../../src/model/packing.ts";

/** Groups of random sizes; token ids tell where they came from. */
function randomGroups(random: Random, count: number): PromptGroup[] {
  let sequence = 0;
  let id = 0;
  const ids = (n: number) => Array.from({ length: n }, () => id++);
  return Array.from({ length: count }, () => ({
    prompt: ids(1 + random.integer(6)),
    responses: Array.from({ length: random.integer(5) }, () => ({
      sequence: sequence++,
      tokens: ids(1 + random.integer(9)),
    })),
  }));
}

/** What each packed row may attend to, straight from the groups. */
function visibleTokens(groups: readonly PromptGroup[]): number[][] {
  const rows: number[][] = [];
  for (const { prompt, responses } of groups) {
    prompt.forEach((_, i) => rows.push(prompt.slice(0, i + 1)));
    for (const { tokens } of responses) {
      tokens.slice(0, -1).forEach((_, t) => rows.push([...prompt, ...tokens.slice(0, t + 1)]));
    }
  }
  return rows;
}

Deno.test("packGroups() by hand: a prompt of two tokens with responses of three and one", () => {
  const groups = [{
    prompt: [10, 11],
    responses: [{ sequence: 4, tokens: [20, 21, 22] }, { sequence: 5, tokens: [30] }],
  }, { prompt: [12], responses: [] }];
  const packed = packGroups(groups, 16);
  const lists = Object.fromEntries(
    Object.entries(packed).map(([name, array]) => [name, Array.from(array as Uint32Array)]),
  );
  assertEquals(lists, {
    // The last token of a response predicts nothing, so a response of one token has no row.
    tokens: [10, 11, 20, 21, 12],
    positions: [0, 1, 2, 3, 0],
    segments: [0, 2, 0, 0, 4, 2, 4, 0, 2, 4, 4, 5, 0, 0, 5],
    tiles: [0, 0, 1, 2, 2, 4],
    rowOffsets: [0, 0, 2, 3, 4, 4],
    // Row 1, the end of the prompt, predicts the first token of both responses.
    rowItems: [0, 3, 1, 2],
    itemTargets: [20, 21, 22, 30],
    itemSequences: [4, 4, 4, 5],
    itemPositions: [0, 1, 2, 0],
    itemRanges: [0, 3, 3, 4],
    lastPromptRows: [1, 4],
    promptRanges: [0, 2, 4, 5],
  });
});

Deno.test("packGroups(): segments let a row see its prompt and its own response, nothing else", () => {
  const random = new Random(1);
  for (let round = 0; round < 30; round++) {
    const groups = randomGroups(random, 1 + random.integer(4));
    const { tokens, segments, positions } = packGroups(groups, 4);
    const expected = visibleTokens(groups);
    assertEquals(tokens.length, expected.length);
    for (let s = 0; s < segments.length; s += 5) {
      const [start, end, prefixStart, prefixEnd, queryEnd] = segments.subarray(s, s + 5);
      for (let row = start!; row < end!; row++) {
        const seen = [
          ...tokens.subarray(prefixStart!, prefixEnd!),
          ...tokens.subarray(start!, row + 1),
        ];
        assertEquals(seen, expected[row]);
        assertEquals(positions[row], seen.length - 1);
      }
      // One past the last row that sees this segment's first token.
      const last = expected.findLastIndex((seen) => seen.includes(tokens[start!]!));
      assertEquals(queryEnd, last + 1);
    }
  }
});

Deno.test("packGroups(): every row predicts the tokens that follow it", () => {
  const random = new Random(2);
  for (let round = 0; round < 30; round++) {
    const groups = randomGroups(random, 1 + random.integer(4));
    const packed = packGroups(groups, 4);
    const expected = visibleTokens(groups);
    const responses = groups.flatMap((g) => g.responses.map((r) => ({ prompt: g.prompt, ...r })));
    const total = responses.reduce((n, r) => n + r.tokens.length, 0);
    assertEquals(packed.itemTargets.length, total);
    assertEquals(
      [...packed.rowItems].sort((a, b) => a - b),
      Array.from({ length: total }, (_, i) => i),
    );
    for (let row = 0; row < packed.tokens.length; row++) {
      for (let i = packed.rowOffsets[row]!; i < packed.rowOffsets[row + 1]!; i++) {
        const item = packed.rowItems[i]!;
        const response = responses.find((r) => r.sequence === packed.itemSequences[item])!;
        const t = packed.itemPositions[item]!;
        assertEquals(packed.itemTargets[item], response.tokens[t]);
        assertEquals(expected[row], [...response.prompt, ...response.tokens.slice(0, t)]);
      }
    }
    responses.forEach(({ sequence, tokens }, r) => {
      const [first, end] = packed.itemRanges.subarray(2 * r, 2 * r + 2);
      assertEquals([...packed.itemTargets.subarray(first, end)], tokens);
      assert(packed.itemSequences.subarray(first, end).every((b) => b === sequence));
    });
  }
});

Deno.test("packGroups(): tiles cover every row once and stay within one segment", () => {
  const random = new Random(3);
  for (const tile of [1, 3, 8]) {
    const { tokens, segments, tiles } = packGroups(randomGroups(random, 5), tile);
    const rows: number[] = [];
    for (let n = 0; n < tiles.length; n += 2) {
      const [segment, first] = tiles.subarray(n, n + 2);
      const [start, end] = segments.subarray(5 * segment!, 5 * segment! + 2);
      assert(first! >= start! && first! < end!);
      for (let row = first!; row < Math.min(first! + tile, end!); row++) rows.push(row);
    }
    assertEquals(rows, Array.from({ length: tokens.length }, (_, i) => i));
  }
});

Deno.test("splitGroups() keeps every response once, in order, with its prompt, within the limit", () => {
  const random = new Random(4);
  for (let round = 0; round < 50; round++) {
    const groups = randomGroups(random, 1 + random.integer(6));
    const maxTokens = 15 + random.integer(40);
    const batches = splitGroups(groups, maxTokens);
    const flat = (list: readonly PromptGroup[]) =>
      list.flatMap(({ prompt, responses }) => responses.map((r) => ({ prompt, ...r })));
    assertEquals(flat(batches.flat()), flat(groups));
    for (const batch of batches) {
      assert(batch.reduce((n, group) => n + groupCost(group), 0) <= maxTokens);
      assert(packGroups(batch, 4).tokens.length <= maxTokens);
    }
    // Greedy: where no group had to be split, the next one did not fit into the batch before.
    const isWhole = ([first]: PromptGroup[]) =>
      groupCost(groups.find(({ prompt }) => prompt === first!.prompt)!) <= maxTokens;
    for (let i = 1; i < batches.length; i++) {
      const [before, batch] = [batches[i - 1]!, batches[i]!];
      if (!isWhole(before) || !isWhole(batch)) continue;
      assert(before.reduce((n, group) => n + groupCost(group), groupCost(batch[0]!)) > maxTokens);
    }
  }
  assertEquals(splitGroups([], 10), []);
});

Deno.test("splitGroups() splits a group between responses when it is too large", () => {
  const response = (sequence: number, length: number) => ({
    sequence,
    tokens: new Array<number>(length).fill(sequence),
  });
  const group = { prompt: [1, 2, 3], responses: [4, 5, 3, 7, 2].map((n, b) => response(b, n)) };
  const batches = splitGroups([group], 12);
  assertEquals(
    batches.map((batch) => batch.map((g) => [g.prompt, g.responses.map((r) => r.sequence)])),
    [[[[1, 2, 3], [0, 1]]], [[[1, 2, 3], [2]]], [[[1, 2, 3], [3, 4]]]],
  );
});

Deno.test("splitGroups() refuses what fits into no batch", () => {
  const tokens = [1, 2, 3, 4, 5];
  assertThrows(
    () => splitGroups([{ prompt: tokens, responses: [] }], 4),
    RangeError,
    "A prompt of 5 tokens does not fit into maxTokensPerMicroBatch = 4: raise it",
  );
  assertThrows(
    () => splitGroups([{ prompt: [1, 2], responses: [{ sequence: 0, tokens }] }], 6),
    RangeError,
    "A prompt of 2 and a response of 5 tokens do not fit into maxTokensPerMicroBatch = 6",
  );
});
