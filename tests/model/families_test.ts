/** Policies of every supported family and file format, from the folder to the logits and back. */

import { assertEquals } from "@std/assert";
import type { PolicyConfig } from "../../src/model/config.ts";
import { Policy } from "../../src/model/policy.ts";
import {
  handmadeConfigJson,
  makeTensors,
  tinyConfig,
  writeCheckpoint,
} from "../fixtures/make_checkpoints.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { type TransformerConfig, transformerRows } from "../reference/transformer.ts";
import { test } from "../helpers/test.ts";

const SIZES = { hiddenSize: 16, intermediateSize: 24, numAttentionHeads: 4, numKeyValueHeads: 2 };

const FAMILIES: Readonly<Record<string, Partial<PolicyConfig>>> = {
  "Qwen2, tied head": { modelType: "qwen2" },
  "Qwen2, head of its own": { modelType: "qwen2", tieWordEmbeddings: false },
  "Llama, tied head": { modelType: "llama", attentionBias: false },
  "Llama, head of its own": { modelType: "llama", attentionBias: false, tieWordEmbeddings: false },
  "Llama, heads wider than the stream": { modelType: "llama", attentionBias: false, headDim: 8 },
  "Qwen3, tied head": { modelType: "qwen3", headDim: 8 },
  "Llama 3, its rotation scaled": {
    modelType: "llama",
    ropeScaling: {
      ropeType: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 8,
    },
  },
  "Mistral, positions scaled": {
    modelType: "mistral",
    ropeScaling: { ropeType: "linear", factor: 4 },
  },
  "SmolLM3, a layer without rotation": { modelType: "smollm3", rotatedLayers: [true, false] },
  "Qwen2, another base and as many keys as queries": { ropeTheta: 1e6, numKeyValueHeads: 4 },
};

const TOKENS = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 0, 9, 9, 3, 2, 1, 5, 4]];

test.onGpu(
  "Policy.load() computes what a float64 transformer computes of the same folder",
  async (gpu, t) => {
    for (const [family, changes] of Object.entries(FAMILIES)) {
      for (const [dtype, shards] of [["F32", 1], ["BF16", 3], ["F16", 2]] as const) {
        await t.step(`${family}, ${dtype} in ${shards} file(s)`, async () => {
          const config = tinyConfig({ ...SIZES, headDim: 4, ...changes });
          // Damped, so that attention stays far from one-hot; still exact in every format.
          const tensors = new Map(
            [...makeTensors(config)].map(([name, values]) =>
              [name, name.endsWith("norm.weight") ? values : values.map((v) => v / 4)] as const
            ),
          );
          await inTempDir(async (dir) => {
            await writeCheckpoint(dir, config, tensors, { dtype, shards });
            const policy = await Policy.load(gpu, dir);
            const json = handmadeConfigJson(config) as unknown as TransformerConfig;
            const expected = transformerRows(json, tensors, TOKENS);
            assertClose(await policy.logits(TOKENS), expected, { tolerance: 2e-5, label: family });

            // And back: the same weights in another format, in a folder of our own.
            await policy.save(`${dir}/saved`, { dtype: dtype === "BF16" ? "f32" : "bf16" });
            const again = await Policy.load(gpu, `${dir}/saved`);
            assertEquals(await again.parameters.read(), await policy.parameters.read());
            again.destroy();
            policy.destroy();
          });
        });
      }
    }
  },
);
