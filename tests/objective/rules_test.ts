/**
 * The tables of rules, their numbers in the kernels, and vectors worked out by hand.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ADVANTAGES, REWARD_SCALES } from "../../src/objective/advantage.ts";
import { AGGREGATIONS, LOSS_SCOPES } from "../../src/objective/aggregation.ts";
import { KL_ESTIMATORS } from "../../src/objective/kl.ts";
import { constantName, findRule } from "../../src/objective/rule.ts";
import { SURROGATES } from "../../src/objective/surrogate.ts";

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
  klEstimator: [KL_ESTIMATORS, kernel("prelude/kl"), ""],
} as const;

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
