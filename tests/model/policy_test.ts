import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Gpu } from "../../src/gpu/device.ts";
import { Policy } from "../../src/model/policy.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import {
  atScoredTokens,
  loadTinyQwen2,
  scoredTokens,
  tinyQwen2Folder,
} from "../helpers/tiny_qwen2.ts";
import { test } from "../helpers/test.ts";

const fixture = loadTinyQwen2();
const { oracle, truth } = fixture;
const P = oracle.prompt_length;
const prompts = oracle.tokens.map((row) => row.slice(0, P));
const completions = oracle.tokens.map((row, b) => row.slice(P, P + oracle.response_lengths[b]!));

/** Tests with the fixture, loaded on every device. */
const tiny = {
  test(name: string, body: (policy: Policy) => Promise<void>): void {
    test.onDevices(name, async (gpu) => {
      const policy = await Policy.load(gpu, fileURLToPath(tinyQwen2Folder));
      try {
        await body(policy);
      } finally {
        policy.destroy();
      }
    });
  },
};

tiny.test("Policy.logits() agrees with PyTorch on a Qwen2 checkpoint", async (policy) => {
  const logits = await policy.logits(oracle.tokens);
  assertClose(logits, truth.get("logits")!.data, { tolerance: 1e-5, label: "logits" });
});

tiny.test("Policy.score() agrees with PyTorch at temperature 1 and another", async (policy) => {
  const items = scoredTokens(fixture);
  for (
    const [name, temperature] of [["log_probs", 1], [
      "log_probs_temperature",
      oracle.temperature,
    ]] as const
  ) {
    const scores = await policy.score(prompts, completions, { temperature });
    assertClose(
      scores.flatMap((row) => Array.from(row)),
      atScoredTokens(truth.get(name)!, items),
      { tolerance: 1e-5, label: name },
    );
  }
});

tiny.test("Policy.generate() at temperature 0 gives PyTorch's greedy tokens", async (policy) => {
  const distinct = [0, 1, 2].map((p) => prompts[p * oracle.num_generations]!);
  const generated = await policy.generate(distinct, { maxCompletionLength: 12, temperature: 0 });
  assertEquals(generated.completions, oracle.greedy);
  assertEquals(generated.truncated, [true, true, true]);
  const scores = await policy.score(distinct, generated.completions);
  for (const [b, row] of generated.logProbs.entries()) {
    assertClose(row, scores[b]!, { tolerance: 1e-5, label: `log-probs of ${b}` });
  }
});

tiny.test("Policy.generate() keeps the log-probabilities that score() gives, at any temperature", async (policy) => {
  for (const temperature of [0.5, 1, 1.7]) {
    const { completions, logProbs } = await policy.generate(prompts.slice(3, 6), {
      numGenerations: 5,
      maxCompletionLength: 17,
      temperature,
      seed: 7,
      eosTokenIds: [0, 4],
    });
    const asked = completions.map((_, b) => prompts[3 + Math.floor(b / 5)]!);
    const scores = await policy.score(asked, completions, { temperature });
    for (const [b, row] of logProbs.entries()) {
      assertClose(row, scores[b]!, { tolerance: 2e-5, label: `log-probs of ${b}` });
    }
  }
});

test.onDevices("a policy does not write padding, in samples and scores alike, unless it ends a response", async (gpu) => {
  const drawn = async (config: { padTokenId?: number; eosTokenId?: number }) => {
    const policy = Policy.create(gpu, {
      vocabSize: 8,
      hiddenSize: 16,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      maxPositionEmbeddings: 32,
      ...config,
    });
    const options = { numGenerations: 64, maxCompletionLength: 8, temperature: 0.9 };
    const { completions, logProbs } = await policy.generate([[2, 3]], options);
    const scores = await policy.score(
      completions.map(() => [2, 3]),
      completions,
      { temperature: 0.9 },
    );
    policy.destroy();
    for (const [b, row] of logProbs.entries()) assertClose(row, scores[b]!, { tolerance: 1e-5 });
    return completions.flat().filter((id) => id === 0).length;
  };
  assertEquals(await drawn({ padTokenId: 0, eosTokenId: 1 }), 0);
  // One id in eight otherwise.
  assert(await drawn({ eosTokenId: 1 }) > 10);
  assert(await drawn({ padTokenId: 0, eosTokenId: 0 }) > 10);
});

tiny.test("Policy.generate() gives each sample the same tokens in any batch", async (policy) => {
  const options = { maxCompletionLength: 15, seed: 3, step: 9, eosTokenIds: [1, 2, 3] };
  const together = await policy.generate(prompts.slice(2, 5), { ...options, numGenerations: 4 });
  assert(new Set(together.completions.map((c) => c.length)).size > 2, "lengths vary");
  for (let p = 0; p < 3; p++) {
    for (let g = 0; g < 4; g++) {
      const alone = await policy.generate([prompts[2 + p]!], {
        ...options,
        firstSampleId: p * 4 + g,
      });
      assertEquals(alone.completions[0], together.completions[p * 4 + g]);
    }
  }
  const again = await policy.generate(prompts.slice(2, 5), { ...options, numGenerations: 4 });
  assertEquals(again, together);
  const otherSeed = await policy.generate(prompts.slice(2, 5), {
    ...options,
    seed: 4,
    numGenerations: 4,
  });
  assert(JSON.stringify(otherSeed.completions) !== JSON.stringify(together.completions));
});

tiny.test("Policy.generate() ends at an end-of-sequence id or at the limit", async (policy) => {
  const eosTokenIds = [5, 6, 7, 8, 9];
  const { completions, truncated } = await policy.generate(prompts.slice(0, 3), {
    numGenerations: 20,
    maxCompletionLength: 11,
    eosTokenIds,
  });
  for (const [b, ids] of completions.entries()) {
    const first = ids.findIndex((id) => eosTokenIds.includes(id));
    assertEquals(truncated[b], first < 0);
    assertEquals(ids.length, first < 0 ? 11 : first + 1);
  }
  assert(truncated.includes(false));
});

tiny.test("Policy.stream() yields what generate() returns, the short completions first", async (policy) => {
  const options = { numGenerations: 10, maxCompletionLength: 40, eosTokenIds: [5, 6] };
  const all = await policy.generate(prompts.slice(0, 2), options);
  const seen: number[] = [];
  let before = 0;
  for await (const sample of policy.stream(prompts.slice(0, 2), options)) {
    const { index, completion, logProbs, truncated } = sample;
    assertEquals(completion, all.completions[index]);
    assertEquals(logProbs, all.logProbs[index]);
    assertEquals(truncated, all.truncated[index]);
    // What ends within one chunk of tokens comes in the order of the batch.
    assert(completion.length > before - 16, `${completion.length} after ${before}`);
    before = Math.max(before, completion.length);
    seen.push(index);
  }
  assertEquals(seen.toSorted((a, b) => a - b), all.completions.map((_, b) => b));
  assert(seen.join() !== seen.toSorted((a, b) => a - b).join(), "some overtake others");
  assertEquals(await Array.fromAsync(policy.stream([], options)), []);
});

tiny.test("Policy.stream() can be left, lets others generate and heeds an AbortSignal", async (policy) => {
  const options = { numGenerations: 4, maxCompletionLength: 30, eosTokenIds: [5, 6] };
  const larger = { ...options, numGenerations: 16 };
  const [few, many] = [
    await policy.generate([[1]], options),
    await policy.generate(prompts, larger),
  ];
  const expected = await policy.generate(prompts.slice(0, 2), options);
  const { length } = policy.gpu.buffers;
  for await (const _ of policy.stream(prompts.slice(0, 2), options)) {
    assertEquals(await policy.generate([[1]], options), few);
    assertEquals(await policy.generate(prompts, larger), many);
    const streamed = await Array.fromAsync(policy.stream([[1]], options));
    assertEquals(streamed.map(({ index }) => index).toSorted(), [0, 1, 2, 3]);
    for (const { index, completion } of streamed) {
      assertEquals(completion, few.completions[index]);
    }
    break;
  }
  // One read-back for what streams are asked for, the others' memory is released.
  assertEquals(policy.gpu.buffers.length, length + 1);
  assertEquals(await policy.generate(prompts.slice(0, 2), options), expected);
  const controller = new AbortController();
  await assertRejects(
    async () => {
      const { signal } = controller;
      for await (const _ of policy.stream(prompts.slice(0, 2), { ...options, signal })) {
        controller.abort(new Error("enough"));
      }
    },
    Error,
    "enough",
  );
  await assertRejects(
    () => policy.generate([[1]], { ...options, signal: controller.signal }),
    Error,
    "enough",
  );
  assertEquals(await policy.generate(prompts.slice(0, 2), options), expected);
});

tiny.test("Policy saves what it loaded, bit for bit", (policy) =>
  inTempDir(async (dir) => {
    await policy.save(dir);
    const copy = await Policy.load(policy.gpu, dir);
    assertEquals(copy.config, policy.config);
    assertEquals(await copy.parameters.read(), await policy.parameters.read());
    copy.destroy();
  }));

test.onDevices("Policy.create() gives the same weights for the same seed only", async (gpu) => {
  const config = { vocabSize: 11, hiddenSize: 32, numHiddenLayers: 2, numAttentionHeads: 4 };
  const [a, b, c] = [1, 1, 2].map((seed) => Policy.create(gpu, config, { seed }));
  const [wa, wb, wc] = [
    await a!.parameters.read(),
    await b!.parameters.read(),
    await c!.parameters.read(),
  ];
  assertEquals(wa, wb);
  const name = "model.layers.1.mlp.up_proj.weight";
  assert(wa.get(name)!.some((v, i) => v !== wc.get(name)![i]));
  assertEquals(wa.get("model.norm.weight"), new Float32Array(32).fill(1));
});

tiny.test("Policy refuses tokens it cannot take", async (policy) => {
  const refused = (act: () => Promise<unknown>, message: string) =>
    assertRejects(act, RangeError, message);
  await refused(() => policy.logits([[1, 37]]), "tokens[0][1] is 37");
  await refused(() => policy.logits([[1, 2], [1]]), "one length");
  await refused(() => policy.logits([[]]), "empty");
  await refused(
    () => policy.generate([[1], []], { maxCompletionLength: 3 }),
    "prompts[1] is empty",
  );
  await refused(
    () => policy.generate([[1, 2]], { maxCompletionLength: 63 }),
    "maxPositionEmbeddings of 64",
  );
  await refused(
    () => policy.generate([[1]], { maxCompletionLength: 0 }),
    "maxCompletionLength must be",
  );
  await refused(
    () => policy.generate([[1]], { maxCompletionLength: 2, temperature: -1 }),
    "temperature must be",
  );
  await refused(() => policy.score([[1]], [[2], [3]]), "a prompt per");
  assertThrows(() => Policy.create({} as Gpu, { vocabSize: 0 }), RangeError, "vocabSize");
});
