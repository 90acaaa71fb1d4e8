import { assert, assertEquals, assertThrows } from "@std/assert";
import { KL_ESTIMATORS, klEstimate, type KlEstimator } from "../../src/objective/kl.ts";
import {
  policyLossSettings,
  responsePolicyLoss,
  tokenPolicyLoss,
} from "../../src/objective/policy_loss.ts";
import {
  type PolicyLoss,
  type PolicyLossSettings,
  SURROGATES,
} from "../../src/objective/surrogate.ts";
import { Random } from "../../src/random/random.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray, randomUniform } from "../helpers/random.ts";
import { finiteDifference } from "../reference/finite_difference.ts";
import {
  klEstimate as referenceKl,
  type Surrogate,
  surrogateLosses,
} from "../reference/policy_loss.ts";

const exact = { tolerance: 1e-12 };
const KINDS = Object.keys(SURROGATES) as PolicyLoss[];
/** Those that tests/reference states a second time. */
const REFERENCED = KINDS.filter((kind) =>
  ["reinforce", "ppo", "cispo", "sapo", "dppo", "gspo", "gmpo"].includes(kind)
);
const TOKEN_KINDS = KINDS.filter((kind) => !SURROGATES[kind].wholeResponses);
const sum = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0);

/** The same choice in the words of the reference. */
function asSurrogate(settings: PolicyLossSettings): Surrogate {
  const { policyLoss, epsilon, epsilonHigh, dualClip } = settings;
  switch (policyLoss) {
    case "reinforce":
      return { kind: "reinforce" };
    case "ppo":
      return { kind: "ppo", epsilon, epsilonHigh, ...(dualClip > 0 && { dualClip }) };
    case "sapo":
      return {
        kind: "sapo",
        temperaturePos: settings.sapoTemperaturePos,
        temperatureNeg: settings.sapoTemperatureNeg,
      };
    case "dppo":
      return { kind: "dppo", epsilon, epsilonHigh, ratioLimit: dualClip || Infinity };
    default:
      return { kind: policyLoss as "cispo" | "gspo" | "gmpo", epsilon, epsilonHigh };
  }
}

/** Settings that make every branch occur for log-ratios of order 1. */
const SETTINGS = REFERENCED.map((policyLoss) =>
  policyLossSettings(
    policyLoss === "dppo"
      ? { policyLoss, epsilon: 0.1, epsilonHigh: 0.15, dualClip: 2 }
      : policyLoss === "gspo"
      ? { policyLoss, epsilon: 0.2, epsilonHigh: 0.3, dualClip: 1.5 }
      : { policyLoss },
  )
).concat(
  policyLossSettings({ policyLoss: "ppo", dualClip: 0 }),
  policyLossSettings({ policyLoss: "ppo", epsilonHigh: 2, dualClip: 1.5 }),
);

function* responses(): Generator<{ logProbs: Float64Array; old: Float64Array; advantage: number }> {
  for (let seed = 0; seed < 40; seed++) {
    const length = 1 + seed % 7;
    const old = Float64Array.from(randomUniform(seed, length, -4, -0.05));
    const change = randomArray(seed + 100, length, 0.7);
    const logProbs = old.map((logProb, t) => logProb + change[t]!);
    yield { logProbs, old, advantage: [1.3, -0.8, 0][seed % 3]! };
  }
  // A log-ratio beyond ±20, where the exponential is held.
  for (const advantage of [1.3, -0.8]) {
    yield { logProbs: Float64Array.of(-30, -1), old: Float64Array.of(-1, -1.1), advantage };
  }
}

Deno.test("responsePolicyLoss() equals the reference for every surrogate", () => {
  for (const settings of SETTINGS) {
    const clips = new Set<string>();
    for (const { logProbs, old, advantage } of responses()) {
      const response = responsePolicyLoss(logProbs, old, advantage, settings);
      const expected = surrogateLosses(logProbs, old, advantage, asSurrogate(settings));
      assertClose(response.losses, expected, { ...exact, label: settings.policyLoss });
      response.clips.forEach((clip) => clips.add(clip));
    }
    const { policyLoss, dualClip } = settings;
    const bounded = policyLoss !== "reinforce" && policyLoss !== "sapo";
    assertEquals(clips.has("none"), true);
    assertEquals(clips.has("ratio"), bounded, policyLoss);
    assertEquals(clips.has("dual"), dualClip > 0 && policyLoss !== "gspo", policyLoss);
  }
});

Deno.test("derivatives equal finite differences of the reference for every surrogate", () => {
  for (const settings of SETTINGS) {
    const surrogate = asSurrogate(settings);
    for (const { logProbs, old, advantage } of responses()) {
      const { dLogProbs } = responsePolicyLoss(logProbs, old, advantage, settings);
      const held = logProbs.slice();
      const total = (x: Float64Array) => sum(surrogateLosses(x, old, advantage, surrogate, held));
      const numeric = finiteDifference(total, logProbs, { step: 1e-6 });
      const scale = Math.max(1, ...dLogProbs.map(Math.abs));
      numeric.forEach((d, t) =>
        assert(
          Math.abs(d - dLogProbs[t]!) < 1e-7 * scale,
          `${settings.policyLoss}: ${dLogProbs[t]} at ${t}, finite difference ${d}`,
        )
      );
    }
  }
});

Deno.test("on policy every surrogate has REINFORCE's gradient -A", () => {
  const old = Float64Array.from(randomUniform(1, 5, -3, -0.1));
  for (const policyLoss of REFERENCED) {
    for (const advantage of [2, -0.5, 0]) {
      const settings = policyLossSettings({ policyLoss });
      const { dLogProbs, clips } = responsePolicyLoss(old, old, advantage, settings);
      assertClose(dLogProbs, new Array(5).fill(-advantage), { ...exact, label: policyLoss });
      assertEquals(clips, new Array(5).fill("none"));
    }
  }
});

Deno.test("a positive factor of the advantage is a factor of loss and gradient", () => {
  // So multiplying the length weight into the advantage equals weighting the loss.
  const factor = 2.5;
  for (const settings of SETTINGS) {
    for (const { logProbs, old, advantage } of responses()) {
      const one = responsePolicyLoss(logProbs, old, advantage, settings);
      const scaled = responsePolicyLoss(logProbs, old, factor * advantage, settings);
      assertClose(scaled.losses, one.losses.map((x) => factor * x), exact);
      assertClose(scaled.dLogProbs, one.dLogProbs.map((x) => factor * x), exact);
      assertEquals(scaled.clips, one.clips);
    }
  }
});

Deno.test("no surrogate overflows on log-ratios far outside its bounds", () => {
  for (const settings of SETTINGS) {
    for (const advantage of [1, -1]) {
      for (const [logProb, oldLogProb] of [[-0.1, -300], [-300, -0.1]] as const) {
        const response = responsePolicyLoss([logProb, -1], [oldLogProb, -1], advantage, settings);
        assert(response.losses.every(Number.isFinite), settings.policyLoss);
        assert(response.dLogProbs.every(Number.isFinite), settings.policyLoss);
      }
    }
  }
  const ppo = policyLossSettings({ dualClip: 0 });
  const far = tokenPolicyLoss(-0.1, -300, -1, ppo);
  assertEquals(far, { loss: Math.exp(20), dLogProb: 0, clip: "none" });
});

Deno.test("tokenPolicyLoss() agrees with responsePolicyLoss() and refuses whole-response losses", () => {
  for (const policyLoss of TOKEN_KINDS) {
    const settings = policyLossSettings({ policyLoss });
    const token = tokenPolicyLoss(-1, -1.2, 1.5, settings);
    const { losses, dLogProbs, clips } = responsePolicyLoss([-1], [-1.2], 1.5, settings);
    assertEquals(token, { loss: losses[0]!, dLogProb: dLogProbs[0]!, clip: clips[0]! });
  }
  for (const policyLoss of KINDS.filter((kind) => SURROGATES[kind].wholeResponses)) {
    const settings = policyLossSettings({ policyLoss });
    assertThrows(() => tokenPolicyLoss(-1, -1, 1, settings), RangeError, "responsePolicyLoss");
  }
  assertThrows(
    () => responsePolicyLoss([-1], [-1, -2], 1, policyLossSettings()),
    RangeError,
    "1 logProbs for 2 oldLogProbs",
  );
});

Deno.test("policyLossSettings() fills in defaults by surrogate and checks ranges", () => {
  const bounds = (options = {}) => {
    const { epsilon, epsilonHigh, dualClip } = policyLossSettings(options);
    return [epsilon, epsilonHigh, dualClip];
  };
  assertEquals(policyLossSettings().policyLoss, "ppo");
  assertEquals(bounds(), [0.2, 0.28, 3]);
  assertEquals(bounds({ epsilon: 0.1 }), [0.1, 0.1, 3]);
  assertEquals(bounds({ epsilonHigh: 0.3, dualClip: 0 }), [0.2, 0.3, 0]);
  assertEquals(bounds({ policyLoss: "gspo" }), [3e-4, 4e-4, 0]);
  const refuse = (options: Parameters<typeof policyLossSettings>[0], message: string) =>
    assertThrows(() => policyLossSettings(options), RangeError, message);
  refuse({ policyLoss: "none" as PolicyLoss }, "choose one of reinforce");
  refuse({ epsilon: 1.5 }, "epsilon is 1.5");
  refuse({ epsilon: NaN }, "epsilon is NaN");
  refuse({ epsilonHigh: -1 }, "epsilonHigh is -1");
  refuse({ dualClip: 0.5 }, "dualClip is 0.5");
  refuse({ policyLoss: "sapo", sapoTemperatureNeg: 0 }, "SAPO temperature is 0");
});

Deno.test("klEstimate() equals the reference, and its derivative a finite difference", () => {
  for (const estimator of Object.keys(KL_ESTIMATORS) as KlEstimator[]) {
    for (const d of [-25, -12, -3, -0.4, 0.3, 2, 9.5, 15, 25]) {
      const logProb = Float64Array.of(-1 + d);
      const { value, dLogProb } = klEstimate(logProb[0]!, -1, estimator);
      const expected = referenceKl(logProb[0]!, -1, estimator);
      const moved = estimator === "k3Plus" ? "k2" : estimator;
      const numeric = finiteDifference((x) => referenceKl(x[0]!, -1, moved), logProb);
      const label = `${estimator} at ${d}`;
      assertClose([value], [expected], { ...exact, label });
      assertClose([dLogProb], numeric, { tolerance: 1e-7, label });
    }
    const { value, dLogProb } = klEstimate(-2, -2, estimator);
    assertEquals([value + 0, dLogProb + 0], [0, estimator === "k1" ? 1 : 0]);
  }
  assertThrows(() => klEstimate(-1, -1, "k4" as KlEstimator), RangeError, "choose one of k1");
  for (const bad of [NaN, null, undefined, -Infinity] as number[]) {
    assertThrows(() => klEstimate(bad, -1, "k2"), RangeError, "logProb must be a finite number");
    assertThrows(() => klEstimate(-1, bad, "k2"), RangeError, "refLogProb must be a finite number");
  }
});

Deno.test("KL estimators average to the divergence, and k2 and k3 to its gradient or value", () => {
  const p = [0.5, 0.3, 0.2];
  const q = [0.2, 0.5, 0.3];
  const average = (f: (logP: number, logQ: number) => number) =>
    sum(p.map((x, i) => x * f(Math.log(x), Math.log(q[i]!))));
  const divergence = average((logP, logQ) => logP - logQ);
  for (const estimator of ["k1", "k3"] as const) {
    const mean = average((logP, logQ) => klEstimate(logP, logQ, estimator).value);
    assertClose([mean], [divergence], exact);
  }
  // With logits z, d KL / dz_j = p_j (ln p_j/q_j - KL) and d ln p_i / dz_j = 1_ij - p_j.
  p.forEach((pj, j) => {
    const gradient = sum(
      p.map((pi, i) =>
        pi * klEstimate(Math.log(pi), Math.log(q[i]!), "k2").dLogProb * ((i === j ? 1 : 0) - pj)
      ),
    );
    assertClose([gradient], [pj * (Math.log(pj / q[j]!) - divergence)], exact);
  });
});

Deno.test("in the loss only k2 and k3Plus have the divergence's gradient; k1's is 0, k3's is off", () => {
  const softmax = (logits: readonly number[]) => {
    const powers = logits.map(Math.exp);
    return powers.map((x) => x / sum(powers));
  };
  type Pair = [policy: number[], reference: number[]];
  const example: Pair = [[1.2, 0.1, -0.6, -1.5], [0.3, 0.5, -0.2, -0.7]];
  /** Relative error of E[d estimate / d logits] in Euclidean norm. */
  const error = (klEstimator: KlEstimator, temperature: number, policies = example) => {
    const [p, q] = policies.map((z) => softmax(z.map((x) => x / temperature))) as Pair;
    const d = p.map((x, i) => Math.log(x / q[i]!));
    const divergence = sum(p.map((x, i) => x * d[i]!));
    const gradient = (slope: (i: number) => number) =>
      p.map((_, j) => sum(p.map((pi, i) => pi * slope(i) * ((i === j ? 1 : 0) - p[j]!))));
    const wanted = p.map((pj, j) => pj * (d[j]! - divergence));
    const got = gradient((i) => KL_ESTIMATORS[klEstimator].compute(d[i]!).dLogProb);
    return Math.hypot(...got.map((x, j) => x - wanted[j]!)) / Math.hypot(...wanted);
  };
  assertClose([error("k2", 1), error("k3Plus", 1), error("k2", 0.6), error("k3Plus", 0.6)], [
    0,
    0,
    0,
    0,
  ], { tolerance: 1e-12, scale: 1 });
  assertClose([error("k1", 1), error("k1", 0.6)], [1, 1], exact);
  assertClose([error("k3", 1), error("k3", 0.6)], [0.0685921, 0.4797310], { tolerance: 1e-6 });

  // As docs/where-trainers-differ.md has it: 999 policies of normal logits, half a deviation from their reference.
  const random = new Random(1);
  const pairs = Array.from({ length: 999 }, (): Pair => {
    const reference = Array.from({ length: 4 }, () => random.normal());
    return [reference.map((z) => z + 0.5 * random.normal()), reference];
  });
  const spread = (temperature: number) => {
    const errors = pairs.map((pair) => error("k3", temperature, pair)).sort((a, b) => a - b);
    return [50, 499, 949].map((i) => errors[i]!.toFixed(2));
  };
  assertEquals(spread(1), ["0.04", "0.17", "0.53"]);
  assertEquals(spread(0.6), ["0.07", "0.31", "1.23"]);
  const sharper = pairs.filter((pair) => error("k3", 0.6, pair) > error("k3", 1, pair)).length;
  assertEquals(Math.round(100 * sharper / pairs.length), 90);
});

Deno.test("responsePolicyLoss() refuses what is no log-probability, by place", () => {
  const settings = policyLossSettings({ policyLoss: "ppo" });
  for (const bad of [null, undefined, NaN, -Infinity, "-1"]) {
    const row = [-1, bad as number];
    const refused = (logProbs: number[], oldLogProbs: number[], message: string) =>
      assertThrows(
        () => responsePolicyLoss(logProbs, oldLogProbs, 1, settings),
        RangeError,
        message,
      );
    refused(row, [-1, -1], "logProbs[1] must be a finite number");
    refused([-1, -1], row, "oldLogProbs[1] must be a finite number");
  }
});
