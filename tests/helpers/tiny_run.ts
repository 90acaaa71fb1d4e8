/** Flags of a policy that trains in a second. */
export const TINY_POLICY: readonly string[] = [
  "--hidden-size=16",
  "--num-hidden-layers=1",
  "--num-attention-heads=2",
];

/** Flags of a run of parity from a warm start that some answers are right after; how often and how long to evaluate is left out. */
export const TINY_STEPS: readonly string[] = [
  ...TINY_POLICY,
  ...["--warm-start-steps=20", "--warm-start-batch-size=16", "--warm-start-learning-rate=1e-2"],
  ...["--prompts-per-step=4", "--num-generations=8"],
];

/** {@linkcode TINY_STEPS} with evaluations. */
export const TINY_RUN: readonly string[] = [
  ...TINY_STEPS,
  ...["--eval-prompts=8", "--num-generations-eval=4", "--temperature=0.8"],
];
