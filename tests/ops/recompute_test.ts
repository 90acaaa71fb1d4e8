import { assert, assertEquals } from "@std/assert";
import type { PolicyConfig } from "../../src/model/config.ts";
import { differentiate, relativeError } from "../helpers/differentiate.ts";
import { test } from "../helpers/test.ts";

test.onDevices("layers computed again for the backward pass give the same bits in less memory", async (gpu) => {
  const bytes = async (again: boolean) => {
    const [few, many] = [
      await differentiate(gpu, 2, { again }),
      await differentiate(gpu, 6, { again }),
    ];
    return { few, many, perLayer: (many.bytes - few.bytes) / 4 };
  };
  const kept = await bytes(false);
  const lost = await bytes(true);
  assertEquals(lost.many.logProbs, kept.many.logProbs);
  assertEquals(lost.many.gradients, kept.many.gradients);
  for (const name of ["input_layernorm", "self_attn.qkv_proj", "mlp.gate_up_proj"]) {
    assert(lost.many.again.includes(`layers.3.${name}`), `layers.3.${name}`);
  }
  // What a layer hands to the next one stays; the last product of a layer is not run again.
  assert(!lost.many.again.includes("layers.3.mlp.down_proj"));
  assert(lost.perLayer < 0.3 * kept.perLayer, `${lost.perLayer} bytes and ${kept.perLayer}`);
  assert(lost.many.dispatches > kept.many.dispatches);
});

test.onGpu("heads that are normalised in place, and layers without rotation, are computed again too", async (gpu) => {
  const families: Partial<PolicyConfig>[] = [
    { modelType: "qwen3" },
    { modelType: "smollm3", rotatedLayers: [true, false] },
  ];
  for (const family of families) {
    const kept = await differentiate(gpu, 2, { family });
    const lost = await differentiate(gpu, 2, { family, again: true });
    assertEquals(lost.gradients, kept.gradients);
    assert(lost.again.includes("layers.1.self_attn.qkv_proj"));
    assert([...kept.gradients.values()].every((gradient) => gradient.some((g) => g !== 0)));
  }
});

test.onDevices("what layers hand to each other may wait in f16 besides", async (gpu) => {
  const exact = await differentiate(gpu, 3, { again: true });
  const rounded = await differentiate(gpu, 3, { again: true, halves: true });
  assertEquals(rounded.logProbs, exact.logProbs);
  for (const [name, gradient] of exact.gradients) {
    const error = relativeError(gradient, rounded.gradients.get(name)!);
    assert(error < 0.02, `${name} is off by ${error}`);
  }
});
