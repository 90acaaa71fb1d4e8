import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { Policy } from "../../src/model/policy.ts";
import { test } from "../helpers/test.ts";

/** Standard deviation around 0. */
function deviation(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
}

test.onGpu("new weights have the scales that their documentation states", async (gpu) => {
  for (const tieWordEmbeddings of [true, false]) {
    const size = { vocabSize: 256, hiddenSize: 64, numHiddenLayers: 2, eosTokenId: 1 };
    const embeddingStd = tieWordEmbeddings ? undefined : 1;
    const policy = Policy.create(gpu, { ...size, tieWordEmbeddings, attentionBias: true }, {
      seed: 5,
      embeddingStd,
    });
    const values = await policy.parameters.read();
    const std = 0.5 / Math.sqrt(64);
    const expected = (name: string): number => {
      if (name === "model.embed_tokens.weight" && embeddingStd) return embeddingStd;
      return /(o_proj|down_proj)/.test(name) ? std / 2 : std;
    };
    assertEquals(values.has("lm_head.weight"), !tieWordEmbeddings);
    for (const [name, v] of values) {
      if (name.endsWith("norm.weight")) assert(v.every((x) => x === 1), name);
      else if (name.endsWith(".bias")) assert(v.every((x) => x === 0), name);
      // Some thousand values: their deviation is known to 5 %.
      else assertAlmostEquals(deviation(v) / expected(name), 1, 0.05, name);
    }
    policy.destroy();
  }
  assertThrows(
    () => Policy.create(gpu, { vocabSize: 8, eosTokenId: 1 }, { embeddingStd: 0 }),
    RangeError,
    "embeddingStd is 0: give a number > 0",
  );
});
