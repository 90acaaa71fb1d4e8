/**
 * Checks a surrogate of one's own before it trains anything.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { readTensor, submit } from "../gpu/submit.ts";
import { Dim, type Tensor } from "../gpu/tensor.ts";
import type { OwnSurrogate } from "../objective/own_objective.ts";
import { policyLoss } from "../ops/policy_loss.ts";
import { sideBySide } from "../ops/side_by_side.ts";

/** Distance of the differences: large against the rounding of float32, small against the bends of losses. */
const STEP = 1e-2;
/** Error allowed, relative to the largest derivative nearby or 1. */
const TOLERANCE = 0.03;

/** Points to compare at: ln π, ln π − ln π_old and A. */
const POINTS = [-4, -1.5, -0.3].flatMap((logProb) =>
  [-0.9, -0.35, -0.05, 0.02, 0.3, 0.8].flatMap((logRatio) =>
    [1, -0.7].map((advantage) => ({ logProb, logRatio, advantage }))
  )
);

/**
 * Compares the derivative of a surrogate with differences of its loss, by the kernel that will compute both. Points where
 * the loss has a corner are left out.
 *
 * @throws {Error} If the expressions do not compile.
 * @throws {RangeError} If they do not belong together, with the point and both numbers.
 */
export async function checkOwnSurrogate(gpu: Gpu, own: OwnSurrogate): Promise<void> {
  const slopes = await evaluate(gpu, own, 0);
  const bad = slopes.findIndex((slope) => !Number.isFinite(slope));
  if (bad >= 0) throw new RangeError(`surrogate: dLogProb is ${slopes[bad]} ${at(bad)}`);
  if (own.stopGradient) return;
  // The loss is evaluated as a derivative, which alone is there for each token.
  const value = { ...own, dLogProb: own.loss };
  const [before, here, after] = [
    await evaluate(gpu, value, -STEP),
    await evaluate(gpu, value, 0),
    await evaluate(gpu, value, STEP),
  ];
  slopes.forEach((slope, i) => {
    const [left, right] = [(here[i]! - before[i]!) / STEP, (after[i]! - here[i]!) / STEP];
    const scale = Math.max(1, Math.abs(left), Math.abs(right), Math.abs(slope));
    if (Math.abs(right - left) > 0.1 * scale) return;
    const difference = (left + right) / 2;
    if (!(Math.abs(difference - slope) <= TOLERANCE * scale)) {
      throw new RangeError(
        `surrogate: dLogProb is ${slope.toPrecision(4)} ${at(i)}, and differences of loss give ${
          difference.toPrecision(4)
        }: give the derivative with respect to log_prob, or say stopGradient where something is held constant`,
      );
    }
  });
}

function at(i: number): string {
  const { logProb, logRatio, advantage } = POINTS[i]!;
  return `at log_prob ${logProb}, log_ratio ${logRatio}, advantage ${advantage}`;
}

/** dLogProb at all points, moved along ln π. */
async function evaluate(gpu: Gpu, own: OwnSurrogate, move: number): Promise<Float32Array> {
  const n = POINTS.length;
  const plan = new Plan(gpu, "surrogate", { gradients: true });
  const tensor = (data: number[], shape = [n]) => gpu.tensor(shape, { data });
  let places!: Tensor;
  const { itemSequences, itemPositions } = sideBySide(
    ["itemSequences", "itemPositions"],
    n,
    (shape) => places = gpu.tensor(shape, { dtype: "u32", name: "places" }),
  );
  gpu.write(itemSequences, POINTS.map((_, i) => i));
  gpu.write(itemPositions, POINTS.map(() => 0));
  const logProbs = tensor(POINTS.map(({ logProb }) => logProb + move));
  plan.requireGradient(logProbs);
  const inputs = {
    logProbs,
    entropies: tensor(POINTS.map(() => 0)),
    oldLogProbs: tensor(POINTS.map(({ logProb, logRatio }) => logProb - logRatio), [n, 1]),
    advantages: tensor(POINTS.map(({ advantage }) => advantage)),
    weights: tensor(POINTS.map(() => 1)),
  };
  const numbers = { epsilon: 0, epsilonHigh: 0, dualClip: 0 };
  const items = new Dim("items", n);
  policyLoss(plan, { ...inputs, itemSequences, itemPositions, items }, {
    ...numbers,
    policyLoss: "reinforce",
    sapoTemperaturePos: 1,
    sapoTemperatureNeg: 1,
    own,
  });
  plan.backward();
  try {
    items.value = n;
    const gradient = plan.keep(plan.gradientOf(logProbs)!);
    await plan.compile();
    submit(gpu, [plan]);
    return await readTensor(gpu, gradient) as Float32Array;
  } finally {
    plan.destroy();
    for (const input of [...Object.values(inputs), places]) gpu.destroyTensor(input);
  }
}
