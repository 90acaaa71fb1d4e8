/** A task that is trained in a moment, for sweeps. */

import { defineTask, symbolTokenizer } from "../../mod.ts";

export default defineTask({
  name: "ones",
  tokenizer: symbolTokenizer("01="),
  prompts: ["0=", "1=", "01=", "10="],
  evalPrompts: ["00=", "11="],
  verify: ({ completion }) => completion.startsWith("1") ? 1 : 0,
  demonstrate: (_, random) => random.uniform() < 0.5 ? "1" : "0",
  maxCompletionLength: 4,
  defaults: {
    policy: {
      hiddenSize: 16,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
      intermediateSize: 32,
    },
    warmStart: { steps: 4, batchSize: 8, learningRate: 1e-3 },
    rl: { maxSteps: 9, learningRate: 1e-3, promptsPerStep: 2, numGenerations: 4 },
  },
});
