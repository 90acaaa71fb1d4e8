/** Flags of a run of parity so small that it takes a second or two. */
export const TINY_RUN: readonly string[] = [
  "--hidden-size=16",
  "--num-hidden-layers=1",
  "--num-attention-heads=2",
  "--warm-start-steps=20",
  "--warm-start-batch-size=16",
  "--prompts-per-step=4",
  "--num-generations=8",
  "--eval-prompts=8",
  "--num-generations-eval=4",
  "--temperature=0.8",
];
