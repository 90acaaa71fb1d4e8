import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { responseKl } from "../../src/ops/response_kl.ts";
import { KL_ESTIMATORS, klEstimate, type KlEstimator } from "../../src/objective/kl.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";
import { test } from "../helpers/test.ts";

const ESTIMATORS = Object.keys(KL_ESTIMATORS) as KlEstimator[];

test.onDevices("responseKl() matches the host's float64 for responses of every length", async (gpu) => {
  for (const [responses, width] of [[1, 1], [3, 64], [65, 63], [9, 257]] as const) {
    const n = responses * width;
    // What lies behind the end of a response must not count.
    const logProbs = randomArray(1, n, 2);
    const refLogProbs = logProbs.map((x, i) => x + randomArray(i, 1, i % 3 === 0 ? 8 : 0.1)[0]!);
    const lengths = randomIntegers(2, responses, width + 1);
    lengths[0] = width;
    for (const klEstimator of ESTIMATORS) {
      const plan = new Plan(gpu, "test");
      const sums = plan.keep(responseKl(plan, {
        logProbs: gpu.tensor([responses, width], { data: logProbs }),
        refLogProbs: gpu.tensor([responses, width], { data: refLogProbs }),
        lengths: gpu.tensor([responses], { data: lengths, dtype: "u32" }),
      }, { klEstimator }));
      await plan.compile();
      submit(gpu, [plan]);
      const wanted = Array.from(lengths, (length, b) => {
        let sum = 0;
        for (let at = b * width; at < b * width + length; at++) {
          sum += klEstimate(logProbs[at]!, refLogProbs[at]!, klEstimator).value;
        }
        return sum;
      });
      assertClose(await readTensor(gpu, sums), wanted, {
        tolerance: 1e-5,
        label: `${klEstimator}, ${responses} x ${width}`,
      });
      plan.destroy();
    }
  }
});

test.onDevices("responseKl() gives the published code's estimates, and follows the batch size", async (gpu) => {
  const { logprob, ref, k1, k2, k3 } = vectors.kl_estimators;
  const expected = { k1, k2, k3, k3Plus: k3 };
  for (const klEstimator of ESTIMATORS) {
    const plan = new Plan(gpu, "test");
    const responses = new Dim("responses", logprob.length);
    const lengths = plan.input([responses], "lengths", "u32");
    const sums = plan.keep(responseKl(plan, {
      logProbs: gpu.tensor([logprob.length, 1], { data: logprob }),
      refLogProbs: gpu.tensor([logprob.length, 1], { data: ref }),
      lengths,
    }, { klEstimator }));
    await plan.compile();
    gpu.write(lengths, logprob.map(() => 1));
    responses.value = 3;
    submit(gpu, [plan]);
    responses.value = logprob.length;
    const few = await readTensor(gpu, sums);
    assertClose(few.subarray(0, 3), expected[klEstimator].slice(0, 3), { tolerance: 1e-5 });
    assertEquals([...few.subarray(3)], logprob.slice(3).map(() => 0));
    submit(gpu, [plan]);
    assertClose(await readTensor(gpu, sums), expected[klEstimator], { tolerance: 1e-5 });
    plan.destroy();
  }
});

test.onDevices("responseKl() refuses shapes that do not fit", (gpu) => {
  const plan = new Plan(gpu, "test");
  const matrix = gpu.tensor([2, 3]);
  const lengths = gpu.tensor([2], { dtype: "u32" });
  const options = { klEstimator: "k1" } as const;
  const cases = [
    { refLogProbs: gpu.tensor([2, 2]) },
    { lengths: gpu.tensor([3], { dtype: "u32" }) },
    { lengths: gpu.tensor([2]) },
    { logProbs: gpu.tensor([6]) },
  ];
  for (const change of cases) {
    const inputs = { logProbs: matrix, refLogProbs: matrix, lengths, ...change };
    assertThrows(
      () => responseKl(plan, inputs, options),
      RangeError,
      "needs logProbs and refLogProbs (B, M) and lengths (B) in u32",
    );
  }
});
