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

const cut = (bytes: number): Damage => (all) => all.slice(0, bytes);
const edited = (edit: (json: Json) => void): Damage => (bytes) => {
  const json = JSON.parse(new TextDecoder().decode(bytes));
  edit(json);
  return new TextEncoder().encode(JSON.stringify(json));
};

/** A kind of damage for each way a file can be refused: the files' own tests have all there are. */
const MODELS: readonly (readonly [file: string, damage: Damage, message: string])[] = [
  ["model.safetensors", cut(9000), "is truncated: its tensors need 124032 bytes, 63"],
  [
    "model.safetensors",
    (bytes) => bytes.map((byte, i) => i >= bytes.length - 400 ? 0xff : byte),
    "model.layers.1.self_attn.v_proj.weight holds NaN at element",
  ],
  ["config.json", cut(99), "config.json is not valid JSON"],
  ["config.json", edited((json) => json.hidden_size = 64), "the weights do not fit config.json; "],
  [
    "config.json",
    edited((json) => json.num_hidden_layers = 1e9),
    "numHiddenLayers is 1000000000: give a whole number from 1 to 1024",
  ],
  [
    "generation_config.json",
    edited((json) => json.eos_token_id = "x"),
    'eos_token_id must be ids of the tokenizer, from 0 to 354: current value is "x"',
  ],
  ["tokenizer.json", cut(900), "tokenizer.json is not valid JSON"],
  ["tokenizer.json", edited((json) => json.model.merges = 7), "tokenizer.json cannot be used: "],
  [
    "tokenizer.json",
    edited(({ model }) => {
      for (const token of Object.keys(model.vocab)) model.vocab[token] += 1000;
    }),
    "Task countdown-text has 1352 token ids and the policy's vocabSize is 384",
  ],
  ["tokenizer_config.json", cut(0), "tokenizer_config.json is not valid JSON"],
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
    for (const [file, damage, message] of MODELS) {
      await t.step(`${file}: ${message}`, async () => {
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
