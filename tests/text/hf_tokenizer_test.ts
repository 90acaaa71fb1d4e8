import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadTokenizer } from "../../src/text/hf_tokenizer.ts";
import type { ChatTemplateKwargs } from "../../src/task/tokenizer.ts";
import { inTempDir } from "../helpers/temp_dir.ts";

const FOLDER = new URL("../fixtures/tiny-bpe/", import.meta.url).pathname;
const EXPECTED = JSON.parse(Deno.readTextFileSync(`${FOLDER}expected.json`));

/** A copy of the fixture with some files replaced; `null` leaves one out. */
async function withFiles(
  files: Record<string, unknown>,
  body: (dir: string) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(FOLDER + name, `${dir}/${name}`);
    }
    for (const [name, content] of Object.entries(files)) {
      if (content === null) await Deno.remove(`${dir}/${name}`);
      else {
        const text = typeof content === "string" ? content : JSON.stringify(content);
        await Deno.writeTextFile(`${dir}/${name}`, text);
      }
    }
    await body(dir);
  });
}

/** What Python makes of the texts of rules.json under some rules. */
interface Rules {
  pre_tokenizer: unknown;
  normalizer: unknown;
  ids: number[][];
}

const CONFIG = JSON.parse(Deno.readTextFileSync(`${FOLDER}tokenizer_config.json`));

Deno.test("loadTokenizer() encodes and decodes as the tokenizers library of Rust and Python", async () => {
  const tokenizer = await loadTokenizer(FOLDER);
  assert(EXPECTED.cases.length >= 28);
  for (const { text, ids, decoded, decoded_with_special: shown } of EXPECTED.cases) {
    if (text !== null) assertEquals(tokenizer.encode(text), ids, text);
    assertEquals(tokenizer.decode(ids), decoded);
    assertEquals(tokenizer.decode(ids, { specialTokens: true }), shown);
  }
});

Deno.test("loadTokenizer() knows the vocabulary, the end and the padding", async () => {
  const { vocabulary, eosTokenIds, padTokenId, decode, encodeChat } = await loadTokenizer(FOLDER);
  assertEquals(vocabulary.length, 355);
  assertEquals(vocabulary.slice(-3), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
  assertEquals([...eosTokenIds, padTokenId], [352, 352]);
  assertEquals(encodeChat, undefined);
  // Models have more ids than their tokenizers: those are nothing.
  assertEquals(decode([9999, 65, -1, 0.5]), decode([65]));
});

Deno.test("loadTokenizer() takes the ends of a text where Hugging Face does", async () => {
  const ends = async (files: Record<string, unknown>) => {
    let found: readonly number[] = [];
    await withFiles(files, async (dir) => {
      found = (await loadTokenizer(dir)).eosTokenIds;
    });
    return found;
  };
  assertEquals(await ends({ "generation_config.json": { eos_token_id: [354, 352] } }), [354, 352]);
  const both = { "config.json": { eos_token_id: 353 }, "generation_config.json": {} };
  assertEquals(await ends(both), [353]);
  const older = { ...CONFIG, eos_token: { content: "<|im_end|>", special: true } };
  assertEquals(await ends({ "tokenizer_config.json": older }), [354]);
});

Deno.test("loadTokenizer() reads the chat template only when asked to", async () => {
  const messages = [
    { role: "user", content: "1 + 1?" },
    { role: "assistant", content: "2" },
    { role: "user", content: "sure?" },
  ];
  const expected = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n" +
    "<|im_start|>user\nsure?<|im_end|>\n<|im_start|>assistant\n";
  const tokenizer = await loadTokenizer(FOLDER, { chatTemplate: true });
  const ids = tokenizer.encodeChat!(messages);
  assertEquals(ids, tokenizer.encode(expected));
  assertEquals(tokenizer.decode(ids, { specialTokens: true }), expected);
  assertEquals(ids.filter((id) => id === 353).length, 4);
  const jinja = "{% for m in messages %}{{ m.content | upper }}{% endfor %}{{ eos_token }}";
  await withFiles({ "chat_template.jinja": jinja }, async (dir) => {
    const { encodeChat, decode } = await loadTokenizer(dir, { chatTemplate: true });
    const text = decode(encodeChat!(messages), { specialTokens: true });
    assertEquals(text, "1 + 1?2SURE?<|endoftext|>");
  });
  const named = [{ name: "tool", template: "t" }, { name: "default", template: "d" }];
  await withFiles(
    { "tokenizer_config.json": { ...CONFIG, chat_template: named } },
    async (dir) => {
      const { encodeChat, decode } = await loadTokenizer(dir, { chatTemplate: true });
      assertEquals(decode(encodeChat!(messages)), "d");
    },
  );
});

Deno.test("a chat template gets its own variables, from the tokenizer or the conversation", async () => {
  // The end of Qwen3's template.
  const jinja =
    "{{ messages[0].content }}{% if enable_thinking is defined and enable_thinking is " +
    "false %}<think></think>{% endif %}{% if bos_token is defined %}BOS{% endif %}{{ effort }}";
  const messages = [{ role: "user", content: "1?" }];
  await withFiles({ "chat_template.jinja": jinja }, async (dir) => {
    const text = async (kwargs?: ChatTemplateKwargs, own?: ChatTemplateKwargs) => {
      const { decode, encodeChat } = await loadTokenizer(dir, {
        chatTemplate: true,
        ...(kwargs && { chatTemplateKwargs: kwargs }),
      });
      return decode(encodeChat!(messages, own));
    };
    assertEquals(await text(), "1?");
    assertEquals(await text({ enable_thinking: false }), "1?<think></think>");
    assertEquals(await text({ enable_thinking: false }, { enable_thinking: true }), "1?");
    assertEquals(await text({ effort: "low" }, { enable_thinking: false }), "1?<think></think>low");
  });
});

Deno.test("rules that JavaScript reads in another way are followed as in Python", async () => {
  const { extra_merges: extra, texts, rules } = JSON.parse(
    await Deno.readTextFile(`${FOLDER}rules.json`),
  );
  const json = JSON.parse(await Deno.readTextFile(`${FOLDER}tokenizer.json`));
  const vocab = { ...json.model.vocab };
  extra.forEach(([left, right]: string[], i: number) => vocab[left! + right!] = 1000 + i);
  const merges = [...extra.map((pair: string[]) => pair.join(" ")), ...json.model.merges];
  for (
    const [name, { pre_tokenizer, normalizer, ids }] of Object.entries(
      rules as Record<string, Rules>,
    )
  ) {
    const model = { ...json.model, vocab, merges };
    const changed = { ...json, model, pre_tokenizer, normalizer };
    await withFiles({ "tokenizer.json": changed }, async (dir) => {
      const { encode } = await loadTokenizer(dir);
      assertEquals(texts.map((text: string) => encode(text)), ids, name);
    });
  }
});

Deno.test("decoding BPE keeps spaces before punctuation, whatever the folder says", async () => {
  const said = { ...CONFIG, clean_up_tokenization_spaces: true };
  await withFiles({ "tokenizer_config.json": said }, async (dir) => {
    const { encode, decode } = await loadTokenizer(dir);
    for (const text of ["a != b", "x , y", "do n't 's"]) assertEquals(decode(encode(text)), text);
  });
  const forced = {
    ...said,
    clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: true,
  };
  await withFiles({ "tokenizer_config.json": forced }, async (dir) => {
    const { encode, decode } = await loadTokenizer(dir);
    assertEquals(decode(encode("a != b")), "a!= b");
  });
});

Deno.test("loadTokenizer() says what is wrong with a folder", async () => {
  const { chat_template: _, ...withoutTemplate } = CONFIG;
  const { eos_token: __, ...withoutEnd } = CONFIG;
  const tokenizer = JSON.parse(Deno.readTextFileSync(`${FOLDER}tokenizer.json`));
  const changed = (change: object) => ({ "tokenizer.json": { ...tokenizer, ...change } });
  const generation = (eos_token_id: unknown) => ({ "generation_config.json": { eos_token_id } });
  const cases: [files: Record<string, unknown>, message: string, chat?: boolean][] = [
    [{ "tokenizer.json": null }, "has no tokenizer.json"],
    [
      { "tokenizer.json": null, "tokenizer.model": "" },
      "has tokenizer.model but no tokenizer.json: make one with python -c",
    ],
    [{ "tokenizer.json": '{"model": ' }, "tokenizer.json is not valid JSON"],
    [{ "tokenizer.json": "[]" }, "tokenizer.json does not hold a JSON object"],
    [{ "tokenizer.json": {} }, "tokenizer.json cannot be used"],
    [changed({ model: { type: "Odd" } }), "cannot be used"],
    [changed({ model: { ...tokenizer.model, vocab: null } }), "tokenizer.json cannot be used: "],
    [changed({ pre_tokenizer: { type: "Weird" } }), "Unknown PreTokenizer type: Weird"],
    [{ "tokenizer_config.json": "x" }, "tokenizer_config.json is not valid JSON"],
    [{ "tokenizer_config.json": "3" }, "tokenizer_config.json does not hold a JSON"],
    [{ "tokenizer_config.json": withoutEnd }, "does not say which token ends a text"],
    [{ "tokenizer_config.json": null }, "does not say which token ends a text"],
    [{ "tokenizer_config.json": { ...CONFIG, eos_token: "<none>" } }, "does not say which"],
    [generation(355), "eos_token_id must be ids of the tokenizer, from 0 to 354"],
    [generation([]), "eos_token_id must be"],
    [generation([352, "a"]), "eos_token_id must be"],
    [generation(-1), "current value is -1"],
    [{ "tokenizer_config.json": withoutTemplate }, "has no chat template", true],
    [{ "chat_template.jinja": "{% for" }, "chat template of", true],
  ];
  for (const [files, message, chatTemplate = false] of cases) {
    await withFiles(files, async (dir) => {
      await assertRejects(() => loadTokenizer(dir, { chatTemplate }), Error, message);
    });
  }
});
