/** Models, tokenizers and problems that are damaged: each is refused by name and place, and nothing is written. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { openGpu } from "../../src/gpu/open.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { writeTinyTextModel } from "../helpers/tiny_text_model.ts";

// deno-lint-ignore no-explicit-any -- JSON of other programs
type Json = any;

/** What happens to a file's bytes. */
type Damage = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

const text = (content: string): Damage => () => new TextEncoder().encode(content);
const cut = (bytes: number): Damage => (all) => all.slice(0, bytes);
const edited = (edit: (json: Json) => void): Damage => (bytes) => {
  const json = JSON.parse(new TextDecoder().decode(bytes));
  edit(json);
  return new TextEncoder().encode(JSON.stringify(json));
};

/** Packs a safetensors file of a header, as JSON or as text, and data. */
function pack(header: Json, data: Uint8Array, length?: bigint): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const repacked =
  (change: (header: Json, data: Uint8Array) => Uint8Array<ArrayBuffer>): Damage => (bytes) => {
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    return change(header, bytes.subarray(8 + length));
  };

const EMBEDDING = "model.embed_tokens.weight";
const embedding = (edit: (tensor: Json) => void) =>
  repacked((header, data) => {
    edit(header[EMBEDDING]);
    return pack(header, data);
  });

const MODELS: readonly (readonly [file: string, what: string, damage: Damage, message: string])[] =
  [
    ["model.safetensors", "empty", cut(0), "model.safetensors is truncated: 0 bytes, where a"],
    [
      "model.safetensors",
      "in the length",
      cut(7),
      "model.safetensors is truncated: 7 bytes, where",
    ],
    [
      "model.safetensors",
      "before the header",
      cut(8),
      "is truncated: the header needs 2616 bytes, 0",
    ],
    [
      "model.safetensors",
      "in the header",
      cut(100),
      "is truncated: the header needs 2616 bytes, 92",
    ],
    [
      "model.safetensors",
      "in a tensor",
      cut(9000),
      "is truncated: its tensors need 124032 bytes, 63",
    ],
    [
      "model.safetensors",
      "the last byte",
      (bytes) => bytes.slice(0, -1),
      "is truncated: its tensors need 124032 bytes, 124031 are there",
    ],
    [
      "model.safetensors",
      "a byte more",
      (bytes) => new Uint8Array([...bytes, 0]),
      "has 1 bytes behind its last tensor: none are allowed",
    ],
    [
      "model.safetensors",
      "a huge header",
      repacked((header, data) => pack(header, data, 2n ** 60n)),
      "its first 8 bytes give a header of 1152921504606847000 bytes, at most 100000000 are allowed",
    ],
    [
      "model.safetensors",
      "no header",
      repacked((header, data) => pack(header, data, 0n)),
      "the safetensors header is not valid JSON",
    ],
    [
      "model.safetensors",
      "a list",
      repacked((_, data) => pack("[]", data)),
      "the safetensors header is not a JSON object",
    ],
    [
      "model.safetensors",
      "a dtype",
      embedding((tensor) => tensor.dtype = "I4"),
      `tensor "${EMBEDDING}" has dtype "I4": supported are`,
    ],
    [
      "model.safetensors",
      "a shape",
      embedding((tensor) => tensor.shape = [1, 2, 3]),
      `tensor "${EMBEDDING}" is F32 [1,2,3] and needs 24 bytes, but data_offsets [0,49152] give it`,
    ],
    [
      "model.safetensors",
      "offsets below 0",
      embedding((tensor) => tensor.data_offsets = [-4, 0]),
      "has data_offsets [-4,0]: two whole numbers of 0 or more needed",
    ],
    [
      "model.safetensors",
      "offsets beyond the end",
      embedding((tensor) => tensor.data_offsets = [0, 1e15]),
      "data_offsets [0,1000000000000000] give it 1000000000000000",
    ],
    [
      "model.safetensors",
      "not a number",
      (bytes) => bytes.map((byte, i) => i >= bytes.length - 400 ? 0xff : byte),
      "model.layers.1.self_attn.v_proj.weight holds NaN at element",
    ],
    ["config.json", "empty", cut(0), "config.json is not valid JSON"],
    ["config.json", "half", cut(99), "config.json is not valid JSON"],
    ["config.json", "a list", text("[]"), "config.json does not hold a JSON object"],
    [
      "config.json",
      "a text for a number",
      edited((json) => json.hidden_size = "32"),
      'config.json: hidden_size is "32": a number is needed',
    ],
    [
      "config.json",
      "another width",
      edited((json) => json.hidden_size = 64),
      "the weights do not fit config.json; ",
    ],
    [
      "config.json",
      "a billion layers",
      edited((json) => json.num_hidden_layers = 1e9),
      "numHiddenLayers is 1000000000: give a whole number from 1 to 1024",
    ],
    [
      "config.json",
      "heads that do not go",
      edited((json) => json.num_key_value_heads = 3),
      "numKeyValueHeads is 3: it has to divide numAttentionHeads, which is 4",
    ],
    [
      "config.json",
      "an architecture",
      edited((json) => json.model_type = "gpt2"),
      'model_type is "gpt2", which is not supported: one of qwen2, qwen3, llama, mistral, smollm3 is',
    ],
    [
      "config.json",
      "rope",
      edited((json) => json.rope_scaling = { type: "yarn", factor: 4 }),
      'rope_scaling.rope_type is "yarn", which is not supported: only "default", "linear" and',
    ],
    [
      "config.json",
      "an end",
      edited((json) => json.eos_token_id = 1e9),
      "eosTokenId is 1000000000: give a token id from 0 to 383 (vocabSize - 1)",
    ],
    [
      "generation_config.json",
      "an end",
      edited((json) => json.eos_token_id = "x"),
      'eos_token_id must be ids of the tokenizer, from 0 to 354: current value is "x"',
    ],
    ["generation_config.json", "empty", cut(0), "generation_config.json is not valid JSON"],
    ["tokenizer.json", "empty", cut(0), "tokenizer.json is not valid JSON"],
    ["tokenizer.json", "half", cut(900), "tokenizer.json is not valid JSON"],
    ["tokenizer.json", "a list", text("[]"), "tokenizer.json does not hold a JSON object"],
    ["tokenizer.json", "an empty object", text("{}"), "tokenizer.json cannot be used: "],
    [
      "tokenizer.json",
      "no vocabulary",
      edited((json) => json.model.vocab = null),
      "tokenizer.json cannot be used: ",
    ],
    [
      "tokenizer.json",
      "a number for merges",
      edited((json) => json.model.merges = 7),
      "tokenizer.json cannot be used: ",
    ],
    [
      "tokenizer.json",
      "a step that is not known",
      edited((json) => json.pre_tokenizer = { type: "Weird" }),
      "tokenizer.json cannot be used: Unknown PreTokenizer type: Weird",
    ],
    [
      "tokenizer.json",
      "ids beyond the policy's",
      edited(({ model }) => {
        for (const token of Object.keys(model.vocab)) model.vocab[token] += 1000;
      }),
      "Task countdown-text has 1352 token ids and the policy's vocabSize is 384",
    ],
    ["tokenizer_config.json", "empty", cut(0), "tokenizer_config.json is not valid JSON"],
    ["tokenizer_config.json", "a number", text("3"), "tokenizer_config.json does not hold a JSON"],
  ];

const HAVE = "must have nums, a list of whole numbers, and a target: got ";

const PROBLEMS: readonly (readonly [content: string, message: string])[] = [
  ["", " has no rows: one JSON object on each line"],
  ["\n \n", " has no rows: one JSON object on each line"],
  ["{", ":1 is no JSON: "],
  ["null", ":1 must hold a JSON object: got null"],
  ["3", ":1 must hold a JSON object: got 3"],
  ['\n["nums"]', ':2 must hold a JSON object: got ["nums"]'],
  ['{"nums":[1,2],"target":3}\n{"nums":[1,2],"target"', ":2 is no JSON: "],
  ['{"nums":[1,2],"target":3}\n\n{"nums":[1,2]}', `:3 ${HAVE}{"nums":[1,2]}`],
  ['{"nums":"1 2","target":3}', `:1 ${HAVE}{"nums":"1 2","target":3}`],
  ['{"nums":[],"target":3}', `:1 ${HAVE}{"nums":[],"target":3}`],
  ['{"nums":[1,2],"target":"3"}', `:1 ${HAVE}{"nums":[1,2],"target":"3"}`],
  ['{"nums":[1.5,2],"target":3}', `:1 ${HAVE}{"nums":[1.5,2],"target":3}`],
  ['{"nums":[1e400,2],"target":3}', `:1 ${HAVE}{"nums":[null,2],"target":3}`],
  ['{"__proto__":{"nums":[1,2],"target":3}}', `:1 ${HAVE}{"__proto__":`],
];

async function inFolderWithModel(body: (dir: string) => Promise<void>): Promise<void> {
  await inTempDir(async (dir) => {
    const gpu = await openGpu();
    await writeTinyTextModel(gpu, join(dir, "model"));
    await gpu.close();
    await body(dir);
  });
}

/** Runs `train` on text, which has to be refused in one line, and returns that. */
async function refusal(dir: string, ...args: string[]): Promise<string> {
  const before = [...Deno.readDirSync(dir)].length;
  const { code, stderr } = await runInProcess(
    dir,
    "train",
    "--task=countdown-text",
    "--policy=model",
    "--quiet",
    "--prompts-per-step=2",
    "--num-generations=4",
    "--max-completion-length=16",
    ...args,
  );
  assertMatch(stderr, /^error: .+\n$/);
  assertEquals([code === 1 || code === 2, [...Deno.readDirSync(dir)].length], [true, before]);
  return stderr;
}

Deno.test("models and tokenizers that are damaged", async (t) => {
  await inFolderWithModel(async (dir) => {
    for (const [file, what, damage, message] of MODELS) {
      await t.step(`${file}: ${what}`, async () => {
        const path = join(dir, "model", file);
        const good = await Deno.readFile(path);
        const bad = damage(good);
        await Deno.writeFile(path, bad);
        const told = await refusal(dir);
        assertEquals(await Deno.readFile(path), bad, "left alone");
        await Deno.writeFile(path, good);
        assertStringIncludes(told, message);
        if (!message.startsWith("Task")) assertStringIncludes(told, "model");
      });
    }
    for (const file of ["config.json", "model.safetensors", "tokenizer.json"]) {
      await t.step(`${file}: gone`, async () => {
        const path = join(dir, "model", file);
        await Deno.rename(path, join(dir, "kept"));
        const told = await refusal(dir);
        await Deno.rename(join(dir, "kept"), path);
        assertStringIncludes(told, "model");
        assertStringIncludes(told, file);
      });
    }
  });
});

Deno.test("problems that are damaged are refused by file and line", async (t) => {
  await inFolderWithModel(async (dir) => {
    for (const [content, message] of PROBLEMS) {
      await t.step(JSON.stringify(content), async () => {
        await Deno.writeTextFile(join(dir, "problems.jsonl"), content);
        const told = await refusal(dir, "--data=problems.jsonl");
        assertStringIncludes(told, `error: problems.jsonl${message}`);
      });
    }
    assertEquals(
      await refusal(dir, "--data=model"),
      "error: model is a folder: give a file of JSON lines\n",
    );
    assertEquals(
      await refusal(dir, "--data=gone.jsonl"),
      "error: gone.jsonl does not exist: give a file of JSON lines\n",
    );
  });
});
