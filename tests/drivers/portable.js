/**
 * What has to come out the same wherever WebGPU runs: generation, a gradient, AdamW, a few steps of training, all the way
 * from `openGpu`. Plain JavaScript, because Node 20 and pages read no TypeScript.
 *
 * @module
 */

/** The first 16 digits of the SHA-256 of some numbers' bytes. */
async function digest(arrays) {
  const bytes = await new Blob(arrays).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The weights of a policy, or what is laid out like them. */
async function digestOf(parameters, tensor = parameters.values) {
  return await digest([...(await parameters.read(tensor)).values()]);
}

/**
 * Runs it.
 *
 * @param library What mod.ts exports.
 * @param engine What src/engine.ts exports.
 * @param options Those of `openGpu`.
 * @returns The adapter, and a digest of each result.
 */
export async function runEverything(library, engine, options) {
  const { AdamW, openGpu, parity, Policy, policyGradient, train } = library;
  const gpu = await openGpu(options);
  const results = {};
  const task = parity({ minBits: 3, maxBits: 5 });
  const config = {
    vocabSize: task.vocabulary.length,
    hiddenSize: 32,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    intermediateSize: 64,
    eosTokenId: task.eosTokenId,
  };

  const policy = Policy.create(gpu, config);
  const prompts = [2, 3].map((first) => [first, 3, 2, 5]);
  const { completions, logProbs } = await policy.generate(prompts, {
    numGenerations: 4,
    maxCompletionLength: 6,
  });
  results.tokens = await digest([Int32Array.from(completions.flat())]);
  results.logProbs = await digest(logProbs);

  const rewards = completions.map((ids) => ids.length + ids[0] / 8);
  const { loss } = await policyGradient(
    policy,
    { prompts, completions, rewards, oldLogProbs: logProbs },
    { numGenerations: 4, lossAggregation: "deltaL", lossAlpha: 1, lossScaleFactor: 6 },
  );
  results.loss = loss;
  results.gradient = await digestOf(policy.parameters, policy.parameters.gradients);

  const optimizer = await AdamW.create(gpu, policy.parameters, { learningRate: 1e-2 });
  engine.submit(gpu, [optimizer.plan]);
  optimizer.advance();
  results.adamw = await digestOf(policy.parameters);
  optimizer.destroy();
  policy.destroy();

  const trained = Policy.create(gpu, config);
  const request = { policy: trained, task, maxSteps: 3, learningRate: 1e-2, promptsPerStep: 4 };
  for await (const { step, metrics } of train({ ...request, numGenerations: 4 })) {
    results[`reward${step}`] = metrics["reward/mean"];
  }
  results.trained = await digestOf(trained.parameters);
  const { adapter } = gpu;
  return { adapter, results, gpu, policy: trained };
}
