import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import type { PolicyConfig } from "../../src/model/config.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/model/hf_checkpoint.ts";
import { SafetensorsFile } from "../../src/files/safetensors_file.ts";
import {
  handmadeSafetensors,
  makeTensors,
  tinyConfig,
  writeCheckpoint,
} from "../fixtures/make_checkpoints.ts";
import { randomArray } from "../helpers/random.ts";
import { readSafetensors } from "../helpers/safetensors.ts";
import { test } from "../helpers/test.ts";

const EMBEDDING = "model.embed_tokens.weight";
const BIAS = "model.layers.1.self_attn.k_proj.bias";

/** Everything in a checkpoint folder, as `loadCheckpoint` gives it. */
async function readAll(
  dir: string,
): Promise<{ config: PolicyConfig; tensors: Map<string, Float32Array<ArrayBuffer>> }> {
  using checkpoint = await loadCheckpoint(dir);
  const tensors = new Map<string, Float32Array<ArrayBuffer>>();
  for (const name of checkpoint.names) tensors.set(name, await checkpoint.readFloat32(name));
  return { config: checkpoint.config, tensors };
}

/** Expects a RangeError whose message has a text. */
const refused = (act: () => Promise<unknown>, message: string) =>
  assertRejects(act, RangeError, message);

Deno.test("the stored checkpoint loads unchanged", async () => {
  const url = new URL("../fixtures/tiny-qwen2/", import.meta.url);
  const { config, tensors } = await readAll(fileURLToPath(url));
  assertEquals(config.modelType, "qwen2");
  assertEquals(config.tieWordEmbeddings, true);
  const expected = readSafetensors(new URL("model.safetensors", url));
  assertEquals([...tensors.keys()].sort(), [...expected.keys()].sort());
  for (const [name, { data }] of expected) {
    assertEquals(tensors.get(name), Float32Array.from(data), name);
  }
});

for (const dtype of ["F32", "F16", "BF16", "F64"] as const) {
  for (const shards of [1, 3]) {
    test.inDir(`loads ${dtype} weights in ${shards} file(s), tied and untied`, async (dir) => {
      for (const tieWordEmbeddings of [true, false]) {
        const config = tinyConfig({ tieWordEmbeddings });
        const tensors = makeTensors(config);
        const folder = join(dir, `${tieWordEmbeddings}`);
        await writeCheckpoint(folder, config, tensors, { dtype, shards });
        assertEquals(await readAll(folder), { config, tensors });
      }
    });
  }
}

test.inDir("a saved policy comes back bit by bit, denormals and -0 included", async (dir) => {
  for (const modelType of ["qwen2", "llama"] as const) {
    const config = tinyConfig({
      modelType,
      attentionBias: modelType === "qwen2",
      tieWordEmbeddings: modelType === "qwen2",
      eosTokenId: [3, 5],
      padTokenId: 0,
    });
    const tensors = makeTensors(config);
    let seed = 1;
    for (const values of tensors.values()) values.set(randomArray(seed++, values.length));
    tensors.get(EMBEDDING)!.set([-0, 2 ** -149, -(2 ** -149), 3.4028234663852886e38]);
    await saveCheckpoint(dir, config, tensors);
    const back = await readAll(dir);
    assertEquals(back.config, config);
    for (const [name, values] of tensors) {
      assertEquals(new Uint32Array(back.tensors.get(name)!.buffer), new Uint32Array(values.buffer));
    }
    assertEquals(
      [...Deno.readDirSync(dir)].map(({ name }) => name).sort(),
      ["config.json", "generation_config.json", "model.safetensors"],
    );
  }
});

test.inDir("the same policy gives the same bytes, from a Map or from a function", async (dir) => {
  const config = tinyConfig();
  const tensors = makeTensors(config);
  const asked: string[] = [];
  await saveCheckpoint(join(dir, "a"), config, tensors);
  await saveCheckpoint(join(dir, "b"), config, async (name) => {
    asked.push(name);
    return await Promise.resolve(tensors.get(name)!);
  });
  for (const file of ["config.json", "generation_config.json", "model.safetensors"]) {
    assertEquals(
      await Deno.readFile(join(dir, "a", file)),
      await Deno.readFile(join(dir, "b", file)),
    );
  }
  assertEquals(asked.sort(), [...tensors.keys()].sort());
});

test.inDir("weights saved as bf16 and f16 are stored and announced as such", async (dir) => {
  const config = tinyConfig();
  // Exact in both formats.
  const tensors = makeTensors(config);
  const cases = [
    ["f32", "F32", "float32"],
    ["bf16", "BF16", "bfloat16"],
    ["f16", "F16", "float16"],
  ] as const;
  for (const [dtype, stored, torch] of cases) {
    const folder = join(dir, dtype);
    await saveCheckpoint(folder, config, tensors, { dtype });
    assertEquals((await readAll(folder)).tensors, tensors);
    const json = JSON.parse(await Deno.readTextFile(join(folder, "config.json")));
    assertEquals(json.torch_dtype, torch);
    using file = await SafetensorsFile.open(join(folder, "model.safetensors"));
    assertEquals(file.info(BIAS).dtype, stored);
    assertEquals(file.metadata, { format: "pt" });
  }
});

test.inDir("eos tokens of generation_config.json take precedence", async (dir) => {
  const config = tinyConfig({ eosTokenId: 3 });
  await writeCheckpoint(dir, config, makeTensors(config));
  const path = join(dir, "generation_config.json");
  const eosOf = async (json: object) => {
    await Deno.writeTextFile(path, JSON.stringify(json));
    return (await readAll(dir)).config.eosTokenId;
  };
  assertEquals(await eosOf({ eos_token_id: [7, 2] }), [7, 2]);
  assertEquals(await eosOf({ eos_token_id: 9 }), 9);
  assertEquals(await eosOf({ eos_token_id: null }), 3);
  assertEquals(await eosOf({ temperature: 0.7 }), 3);
  await refused(() => eosOf({ eos_token_id: [7, 11] }), `${path}: eosTokenId[1] is 11`);
});

test.inDir("saving keeps the bos token and the generation defaults that were read", async (dir) => {
  const config = tinyConfig({ eosTokenId: 3, bosTokenId: 1, padTokenId: 0 });
  const [from, to] = [join(dir, "from"), join(dir, "to")];
  await writeCheckpoint(from, config, makeTensors(config));
  const generation = {
    bos_token_id: 1,
    do_sample: true,
    eos_token_id: [3, 7],
    pad_token_id: 0,
    temperature: 0.6,
    top_k: 20,
    top_p: 0.95,
    transformers_version: "4.51.0",
  };
  const write = (json: object) =>
    Deno.writeTextFile(join(from, "generation_config.json"), JSON.stringify(json));
  const resave = async () => {
    const { config, tensors } = await readAll(from);
    await saveCheckpoint(to, config, tensors);
    assertEquals((await readAll(to)).config, config);
    return {
      config: JSON.parse(await Deno.readTextFile(join(to, "config.json"))),
      generation: JSON.parse(await Deno.readTextFile(join(to, "generation_config.json"))),
    };
  };
  await write(generation);
  const saved = await resave();
  assertEquals(saved.generation, generation);
  assertEquals(saved.config.bos_token_id, 1);
  assertEquals(saved.config.eos_token_id, [3, 7]);
  await write({ _from_model_config: true });
  assertEquals((await readAll(from)).config.generationDefaults, undefined);
  assertEquals((await resave()).generation, {
    _from_model_config: true,
    bos_token_id: 1,
    eos_token_id: 3,
    pad_token_id: 0,
  });
  // As Qwen2.5-Instruct has it: ids that only generation_config.json has, or other ones.
  const unsaid = tinyConfig({ eosTokenId: 3 });
  await writeCheckpoint(from, unsaid, makeTensors(unsaid));
  await write({ bos_token_id: 2, eos_token_id: 3, pad_token_id: 5, top_k: 9 });
  const instruct = await resave();
  assertEquals(instruct.config.pad_token_id, null);
  assertEquals(instruct.generation, {
    bos_token_id: 2,
    eos_token_id: 3,
    pad_token_id: 5,
    top_k: 9,
  });
});

test.inDir("a token that is never written travels as suppress_tokens; padding alone suppresses nothing", async (dir) => {
  const config = tinyConfig({ eosTokenId: 3, padTokenId: 2, suppressedTokenId: 2 });
  await saveCheckpoint(dir, config, makeTensors(config));
  const path = join(dir, "generation_config.json");
  assertEquals(JSON.parse(await Deno.readTextFile(path)).suppress_tokens, [2]);
  assertEquals((await readAll(dir)).config, config);
  await Deno.remove(path);
  assertEquals((await readAll(dir)).config.suppressedTokenId, undefined);
  await Deno.writeTextFile(path, JSON.stringify({ suppress_tokens: [2, 4] }));
  const several = (await readAll(dir)).config;
  assertEquals(several.suppressedTokenId, undefined);
  assertEquals(several.generationDefaults, { suppress_tokens: [2, 4] });
});

test.inDir("what is no folder of a model is refused with what to do", async (dir) => {
  const told = async (path: string) =>
    (await assertRejects(() => loadCheckpoint(path), Deno.errors.NotFound)).message;
  assertEquals(
    await told("Qwen/Qwen3-0.6B"),
    "There is no folder Qwen/Qwen3-0.6B. If it is a model on the Hugging Face hub, download it " +
      'with "hf download Qwen/Qwen3-0.6B --local-dir models/Qwen3-0.6B" (from pip install ' +
      "huggingface_hub) and give models/Qwen3-0.6B",
  );
  assertEquals(
    await told(`${dir}/nothing`),
    `There is no folder ${dir}/nothing: give that of a Hugging Face checkpoint`,
  );
  await Deno.writeTextFile(`${dir}/file`, "");
  assertEquals(
    await told(`${dir}/file`),
    `There is no folder ${dir}/file: give that of a Hugging Face checkpoint`,
  );
  assertEquals(
    await told(dir),
    `${dir} has no config.json: give the folder of a Hugging Face checkpoint`,
  );
  await Deno.writeTextFile(
    join(dir, "adapter_config.json"),
    JSON.stringify({ base_model_name_or_path: "Qwen/Qwen3-0.6B", peft_type: "LORA" }),
  );
  const message = await told(dir);
  assert(message.startsWith(`${dir} holds a LoRA adapter of Qwen/Qwen3-0.6B and no model: merge`));
  assert(message.includes(`M.from_pretrained('${dir}').merge_and_unload()`), message);
});

test.inDir("weights that hold several projections in one are refused with what to do", async (dir) => {
  const config = tinyConfig();
  const tensors = makeTensors(config);
  tensors.set("model.layers.0.self_attn.qkv_proj.weight", new Float32Array(8));
  await writeCheckpoint(dir, config, tensors);
  await refused(
    () => loadCheckpoint(dir),
    "they hold several projections in one: use a conversion of the model to LlamaForCausalLM",
  );
});

test.inDir("saving over a folder replaces the eos tokens of an earlier save", async (dir) => {
  for (const eosTokenId of [[3, 4], 5]) {
    const config = tinyConfig({ eosTokenId });
    await saveCheckpoint(dir, config, makeTensors(config));
    assertEquals((await readAll(dir)).config.eosTokenId, eosTokenId);
  }
});

test.inDir("a tied policy's stored head has to equal the embedding", async (dir) => {
  const config = tinyConfig();
  const tensors = makeTensors(config);
  const head = tensors.get(EMBEDDING)!.slice();
  const shapes = { "lm_head.weight": [11, 8] };
  const all = new Map([...tensors, ["lm_head.weight", head]]);
  for (const shards of [1, 2]) {
    const folder = join(dir, `${shards}`);
    await writeCheckpoint(folder, config, all, { shapes, shards });
    assertEquals((await readAll(folder)).tensors, tensors);
  }
  head[70]! += 0.5;
  await writeCheckpoint(dir, config, all, { shapes });
  await refused(
    () => loadCheckpoint(dir),
    "config.json ties lm_head.weight to model.embed_tokens.weight, but element 70 is",
  );
  await writeCheckpoint(dir, config, all, { shapes: { "lm_head.weight": [8, 11] } });
  await refused(() => loadCheckpoint(dir), "lm_head.weight is [8,11], but");
});

test.inDir("rotary frequencies of old checkpoints are passed over", async (dir) => {
  const config = tinyConfig();
  const tensors = makeTensors(config);
  const extra = new Map(tensors);
  extra.set("model.layers.0.self_attn.rotary_emb.inv_freq", Float32Array.of(1, 0.01));
  await writeCheckpoint(dir, config, extra);
  assertEquals((await readAll(dir)).tensors, tensors);
});

test.inDir("missing, unexpected and misshapen tensors are refused together, the first by name", async (dir) => {
  const config = tinyConfig();
  const tensors = makeTensors(config);
  for (const name of [...tensors.keys()].filter((name) => name.includes("layers.1.mlp"))) {
    tensors.delete(name);
  }
  tensors.set("model.layers.2.input_layernorm.weight", new Float32Array(8));
  await writeCheckpoint(dir, config, tensors, { shapes: { [EMBEDDING]: [8, 11] } });
  const error = await assertRejects(() => loadCheckpoint(dir), RangeError);
  assertEquals(
    error.message,
    `${dir}: the weights do not fit config.json; ` +
      "3 tensors missing: model.layers.1.mlp.gate_proj.weight, " +
      "model.layers.1.mlp.up_proj.weight, model.layers.1.mlp.down_proj.weight; " +
      "1 tensor unexpected: model.layers.2.input_layernorm.weight; " +
      "1 tensor of the wrong kind: model.embed_tokens.weight is [8,11] instead of [11,8]",
  );
});

test.inDir("a long list of missing tensors is cut short", async (dir) => {
  const config = tinyConfig();
  await writeCheckpoint(dir, config, new Map([[EMBEDDING, makeTensors(config).get(EMBEDDING)!]]));
  await refused(() => loadCheckpoint(dir), "25 tensors missing: model.layers.0");
  await refused(() => loadCheckpoint(dir), "self_attn.k_proj.bias, …");
});

test.inDir("weights that are whole numbers are refused", async (dir) => {
  const config = tinyConfig();
  await writeCheckpoint(dir, config, makeTensors(config), { dtype: "I32" });
  await refused(() => loadCheckpoint(dir), "is of I32 instead of F32, F16");
});

test.inDir("NaN and infinite weights are refused by name, on reading and on saving", async (dir) => {
  const config = tinyConfig();
  for (const bad of [NaN, Infinity, -Infinity]) {
    const tensors = makeTensors(config);
    await saveCheckpoint(join(dir, "saved"), config, tensors);
    tensors.get(BIAS)![2] = bad;
    for (const dtype of ["F32", "BF16", "F16", "F64"] as const) {
      await writeCheckpoint(dir, config, tensors, { dtype });
      using checkpoint = await loadCheckpoint(dir);
      await refused(() => checkpoint.readFloat32(BIAS), `${BIAS} holds ${bad} at element 2`);
      assertEquals(await checkpoint.readFloat32(EMBEDDING), tensors.get(EMBEDDING));
    }
    await refused(
      () => saveCheckpoint(join(dir, "saved"), config, tensors),
      `${BIAS} holds ${bad} at element 2`,
    );
    // What was saved before is still there.
    tensors.set(BIAS, makeTensors(config).get(BIAS)!);
    assertEquals((await readAll(join(dir, "saved"))).tensors, tensors);
  }
});

test.inDir("weights too large for the format are refused rather than saved as infinite", async (dir) => {
  const config = tinyConfig();
  const tensors = makeTensors(config);
  tensors.get(BIAS)![1] = -65520;
  await refused(
    () => saveCheckpoint(dir, config, tensors, { dtype: "f16" }),
    `${BIAS} holds -65520 at element 1, beyond f16: save as f32`,
  );
  await saveCheckpoint(dir, config, tensors, { dtype: "bf16" });
  tensors.get(BIAS)![1] = 3.4e38;
  await refused(() => saveCheckpoint(dir, config, tensors, { dtype: "bf16" }), "beyond bf16");
  tensors.get(BIAS)![1] = -65519;
  await saveCheckpoint(dir, config, tensors, { dtype: "f16" });
  assertEquals((await readAll(dir)).tensors.get(BIAS)![1], -65504);
});

test.inDir("saving refuses missing, unexpected and wrongly sized parameters by name", async (dir) => {
  const config = tinyConfig();
  const saved = (change: (tensors: Map<string, Float32Array<ArrayBuffer>>) => void) => {
    const tensors = makeTensors(config);
    change(tensors);
    return saveCheckpoint(dir, config, tensors);
  };
  await refused(() => saved((tensors) => tensors.delete(BIAS)), `1 tensor missing: ${BIAS}`);
  await refused(
    () => saved((tensors) => tensors.set("lm_head.weight", new Float32Array(88))),
    "1 tensor unexpected: lm_head.weight",
  );
  await refused(
    () => saved((tensors) => tensors.set(BIAS, new Float32Array(5))),
    `${BIAS} has 5 values: [4] needs 4`,
  );
  await assertRejects(
    () => saveCheckpoint(dir, config, makeTensors(config), { dtype: "f64" as "f32" }),
    TypeError,
    'dtype is "f64": use f32, bf16, f16',
  );
});

test.inDir("a parameter the policy does not have is refused", async (dir) => {
  const config = tinyConfig();
  await writeCheckpoint(dir, config, makeTensors(config));
  using checkpoint = await loadCheckpoint(dir);
  await assertRejects(
    () => checkpoint.readFloat32("lm_head.weight"),
    "the policy has no parameter lm_head.weight",
  );
});

/** Ways to damage a folder with three shards, and part of the message. */
const DAMAGED: [string, (dir: string) => Promise<void>, string][] = [
  ["no config.json", (dir) => Deno.remove(join(dir, "config.json")), "has no config.json: give"],
  ["a broken config.json", edit("config.json", () => "{"), "config.json is not valid JSON"],
  ["a config.json that is a list", edit("config.json", () => "[]"), "does not hold a JSON object"],
  [
    "an unsupported config.json",
    edit("config.json", (text) => text.replace("silu", "relu")),
    ': config.json: hidden_act is "relu"',
  ],
  [
    "a broken generation_config.json",
    (dir) => Deno.writeTextFile(join(dir, "generation_config.json"), "x"),
    "generation_config.json is not valid JSON",
  ],
  [
    "neither weights nor index",
    (dir) => Deno.remove(join(dir, "model.safetensors.index.json")),
    "has neither model.safetensors nor model.safetensors.index.json: give the folder",
  ],
  [
    "PyTorch weights only",
    async (dir) => {
      await Deno.remove(join(dir, "model.safetensors.index.json"));
      await Deno.writeTextFile(join(dir, "pytorch_model.bin"), "");
    },
    "convert its pytorch_model.bin to safetensors",
  ],
  [
    "a missing shard",
    (dir) => Deno.remove(join(dir, "model-00002-of-00003.safetensors")),
    "has no model-00002-of-00003.safetensors, where model.safetensors.index.json places 9 tensors",
  ],
  [
    "a truncated shard",
    (dir) => Deno.truncate(join(dir, "model-00003-of-00003.safetensors"), 1500),
    "model-00003-of-00003.safetensors is truncated",
  ],
  [
    "an index without weight_map",
    edit("model.safetensors.index.json", () => "{}"),
    "weight_map is undefined: an object is needed",
  ],
  [
    "an index that leaves the folder",
    edit("model.safetensors.index.json", (text) => text.replace("model-00001", "../model-00001")),
    'is in "../model-00001-of-00003.safetensors": the name of a file beside it is needed',
  ],
  [
    "an index of a file by number",
    edit("model.safetensors.index.json", (text) => text.replace(/"model-00001[^"]*"/, "1")),
    "is in 1: the name of a file beside it is needed",
  ],
  [
    "a tensor in another shard than the index says",
    edit("model.safetensors.index.json", (text) => text.replace("-00001-of", "-00002-of")),
    `model-00002-of-00003.safetensors: 1 tensor that model.safetensors.index.json places there ` +
    `missing: ${EMBEDDING}`,
  ],
  [
    "a tensor that no shard has",
    edit(
      "model.safetensors.index.json",
      (text) =>
        text.replace('"weight_map":{', '"weight_map":{"lost":"model-00001-of-00003.safetensors",'),
    ),
    "1 tensor that model.safetensors.index.json places there missing: lost",
  ],
  [
    "a shard with a tensor the index does not list",
    (dir) =>
      Deno.writeFile(
        join(dir, "model-00001-of-00003.safetensors"),
        handmadeSafetensors([...listed(dir, "model-00001-of-00003.safetensors"), "extra"].map(
          (name) => ({ name, dtype: "F32", shape: [1], values: new Float32Array(1) }),
        )),
      ),
    "1 tensor that model.safetensors.index.json does not place there: extra",
  ],
];

/** Names of the tensors an index places in a shard. */
function listed(dir: string, shard: string): string[] {
  const { weight_map } = JSON.parse(
    Deno.readTextFileSync(join(dir, "model.safetensors.index.json")),
  );
  return Object.keys(weight_map).filter((name) => weight_map[name] === shard);
}

/** A change of one file's text. */
function edit(file: string, change: (text: string) => string): (dir: string) => Promise<void> {
  return async (dir) => {
    const path = join(dir, file);
    const before = await Deno.readTextFile(path);
    const after = change(before);
    assert(before !== after, `${file} was not changed`);
    await Deno.writeTextFile(path, after);
  };
}

for (const [what, damage, message] of DAMAGED) {
  test.inDir(`a checkpoint with ${what} is refused`, async (dir) => {
    const config = tinyConfig();
    await writeCheckpoint(dir, config, makeTensors(config), { shards: 3 });
    using _loads = await loadCheckpoint(dir);
    await damage(dir);
    const error = await assertRejects(() => loadCheckpoint(dir), Error, message);
    assert(error.message.startsWith(dir), error.message);
  });
}
