/**
 * The tables of rules, their numbers in the kernels, and vectors worked out by hand.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ADVANTAGES, REWARD_SCALES } from "../../src/objective/advantage.ts";
import {
  AGGREGATIONS,
  LOSS_SCOPES,
  type LossAggregation,
} from "../../src/objective/aggregation.ts";
import { KL_ESTIMATORS } from "../../src/objective/kl.ts";
import { findRule } from "../../src/objective/rule.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { policyLossSettings, responsePolicyLoss } from "../../src/objective/policy_loss.ts";
import { type PolicyLoss, SURROGATES } from "../../src/objective/surrogate.ts";
import { assertClose } from "../helpers/assert_close.ts";

const kernel = (path: string) =>
  Deno.readTextFileSync(new URL(`../../kernels/${path}.wgsl`, import.meta.url));
const [responseWeights, responseAdvantages] = [
  kernel("response_weights"),
  kernel("response_advantages"),
];

const FAMILIES = {
  lossAggregation: [AGGREGATIONS, responseWeights, ""],
  lossScope: [LOSS_SCOPES, responseWeights, "SCOPE_"],
  advantageEstimator: [ADVANTAGES, responseAdvantages, ""],
  scaleRewards: [REWARD_SCALES, responseAdvantages, "SCALE_"],
  policyLoss: [SURROGATES, kernel("policy_loss"), ""],
  klEstimator: [KL_ESTIMATORS, kernel("lib/kl"), ""],
} as const;

/** s = e^0.2, which the upper bound holds at 1.0004, and s = 1. */
const SEQUENCES = [
  { logRatios: [0.1, 0.3], advantage: 1 },
  { logRatios: [-0.2, 0, 0.1, 0.1], advantage: -0.5 },
];
const exact = { tolerance: 1e-12 };

/** The name of a rule in WGSL: `deltaL` is `DELTA_L`. */
function constantName(rule: string): string {
  return rule.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

Deno.test("every rule has the number in its kernel that it has in its table", () => {
  for (const [family, [rules, code, prefix]] of Object.entries(FAMILIES)) {
    const constants = new Map(
      [...code.matchAll(/^const ([A-Z][A-Z0-9_]*) = (\d+)u;/gm)].map((m) => [m[1]!, Number(m[2])]),
    );
    const inTable = Object.entries(rules).map(([name, { code }]) =>
      [prefix + constantName(name), code] as const
    );
    for (const [name, number] of inTable) {
      assertEquals(constants.get(name), number, `${family}: const ${name} of the kernel`);
    }
    const numbers = inTable.map(([, number]) => number);
    assertEquals(new Set(numbers).size, numbers.length, `${family}: numbers are distinct`);
  }
});

Deno.test("no name or alias stands for two rules of a family", () => {
  for (const [family, [rules]] of Object.entries(FAMILIES)) {
    const table = rules as Record<string, { verl?: string; aliases?: readonly string[] }>;
    for (const [name, { verl, aliases = [] }] of Object.entries(table)) {
      for (const spelling of [name, verl ?? name, ...aliases]) {
        assertEquals(findRule(table, family, spelling), name, `${family}: ${spelling}`);
      }
    }
    assertThrows(() => findRule(table, family, "none such"), RangeError, `${family} is none such`);
  }
});

/** Loss and derivatives of the published vectors: Σ_i x_i Σ_t ℓ_it, and with respect to each ln π. */
function total(
  responses: readonly { logRatios: readonly number[]; advantage: number }[],
  policyLoss: PolicyLoss,
  lossAggregation: LossAggregation,
): { loss: number; gradient: number[] } {
  const lengths = responses.map(({ logRatios }) => logRatios.length);
  const weights = lossWeights(lengths, { lossAggregation, numGenerations: responses.length });
  const settings = policyLossSettings({ policyLoss });
  let loss = 0;
  const gradient = responses.flatMap(({ logRatios, advantage }, i) => {
    const old = logRatios.map(() => -1);
    const logProbs = logRatios.map((d) => d - 1);
    const { losses, dLogProbs } = responsePolicyLoss(logProbs, old, advantage, settings);
    loss += weights[i]! * losses.reduce((sum, x) => sum + x, 0);
    return Array.from(dLogProbs, (d) => weights[i]! * d);
  });
  return { loss, gradient };
}

Deno.test("vector: gspo under grpo is the mean over responses of the clipped sequence ratio", () => {
  const { loss, gradient } = total(SEQUENCES, "gspo", "grpo");
  assertClose([loss], [(-1.0004 + 0.5) / 2], exact);
  assertClose(gradient, [0, 0, ...[0, 1, 2, 3].map(() => 0.5 / 4 / 2)], exact);
});

Deno.test("vector: luspo under grpo weighs the sequence loss by length, as gspo under seqSum does", () => {
  const { loss, gradient } = total(SEQUENCES, "luspo", "grpo");
  assertClose([loss], [(2 * -1.0004 + 4 * 0.5) / 2], exact);
  assertClose(gradient, [0, 0, ...[0, 1, 2, 3].map(() => 0.5 / 2)], exact);
  assertClose(gradient, total(SEQUENCES, "gspo", "seqSum").gradient, exact);
});

Deno.test("vector: vespo weighs REINFORCE by W^k e^(λ (1 - W)) of the whole response", () => {
  const { loss, gradient } = total(SEQUENCES, "vespo", "dapo");
  // W = e^0.4 with A = 1 and (2, 3): 2.225540928492468 e^-1.475474092923811; W = 1 with A < 0: 1.
  const first = 2.225540928492468 * 0.2286702903761716;
  assertClose(gradient, [first, first, -0.5, -0.5, -0.5, -0.5].map((x) => -x / 6), exact);
  assertClose([loss], [(first * (0.9 + 0.7) - 0.5 * 4) / 6], exact);
});
