/**
 * A policy and its training, apart from what a page shows of it.
 *
 * @module
 */

import { chainSum, parity, Policy, train, WarmStart } from "../../mod.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/engine.ts";

/** The tasks, small enough for a tab. */
const TASKS = {
  parity: () => parity({ minBits: 3, maxBits: 6 }),
  "chain-sum": () => chainSum({ minDigits: 2, maxDigits: 4 }),
};

/** A policy for one task. */
export class Session {
  /**
   * @param gpu The device.
   * @param name The task.
   */
  constructor(gpu, name) {
    this.name = name;
    this.task = TASKS[name]();
    const { policy, warmStart } = this.task.defaults;
    this.policy = Policy.create(gpu, {
      ...policy,
      vocabSize: this.task.vocabulary.length,
      eosTokenId: this.task.eosTokenId,
    }, { embeddingStd: warmStart.embeddingStd });
    this.fitted = false;
  }

  /**
   * Fits the demonstrations, one report for each step.
   *
   * @param steps How many.
   */
  async *fit(steps) {
    if (steps === 0) return;
    const { learningRate } = this.task.defaults.warmStart;
    const warmStart = await WarmStart.create(this.policy, this.task, {
      steps,
      batchSize: 64,
      learningRate,
    });
    try {
      for (let step = 0; step < steps; step++) {
        const report = await warmStart.next();
        this.fitted = true;
        yield report;
      }
    } finally {
      warmStart.destroy();
    }
  }

  /**
   * Reinforcement learning, one report for each step.
   *
   * @param settings Those of `train`.
   */
  train(settings) {
    const request = { policy: this.policy, task: this.task, promptsPerStep: 16, numGenerations: 8 };
    return train({ ...request, ...settings });
  }

  /** The weights as a safetensors file, Hugging Face names. */
  async save() {
    const { parameters } = this.policy;
    const values = await parameters.read();
    return encodeSafetensors(
      [...values].map(([name, data]) => [
        name,
        { dtype: "F32", shape: parameters.range(name).shape, data },
      ]),
      { format: "pt", task: this.name },
    );
  }

  /**
   * Takes the weights of a file, all or none.
   *
   * @param bytes The file.
   * @param source Its name, for messages.
   */
  load(bytes, source) {
    const { parameters } = this.policy;
    const { tensors } = decodeSafetensors(bytes, source);
    const all = parameters.names.map((name) => {
      const { shape } = parameters.range(name);
      const found = tensors.get(name);
      if (found?.dtype !== "F32" || `${found.shape}` !== `${shape}`) {
        throw new RangeError(
          `${source} is not of this task's policy: ${name} has to be F32 [${shape}] and is ` +
            (found ? `${found.dtype} [${found.shape}]` : "not there"),
        );
      }
      return [name, new Float32Array(found.data.slice().buffer)];
    });
    for (const [name, values] of all) parameters.write(name, values);
    this.fitted = true;
  }

  /** Frees the policy. */
  destroy() {
    this.policy.destroy();
  }
}
