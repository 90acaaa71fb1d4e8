#!/bin/sh
# transformers 5.18.0: a tokenizer saved after a call with truncation or padding writes that call's settings into
# tokenizer.json. transformers itself ignores them when it loads the folder; tokenizers 0.23.3 (Tokenizer.from_file, so whatever is
# built on it) obeys them, and from then on cuts every text off at the length of somebody's last batch, or pads it, in silence.
# @huggingface/tokenizers 0.2.0 (JavaScript) ignores them. Trainers save the tokenizer with each checkpoint, after such calls.
# One more call without the options before saving clears them. Needs npm.
# Seen: "abcdefg" has 7 ids for all readers of the first folder; of the second 4 for tokenizers, and "ab" 4 instead of 2.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q transformers==5.18.0 tokenizers==0.23.3
npm install --silent --no-save --prefix . @huggingface/tokenizers@0.2.0
cat >look.py <<'PY'
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

letters = {letter: i for i, letter in enumerate("-abcdefg")}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab=letters, merges=[])), pad_token="-")
tokenizer.save_pretrained("unused")
tokenizer("abcdefg", truncation=True, padding="max_length", max_length=4)
tokenizer.save_pretrained("used")
tokenizer("abcdefg")
tokenizer.save_pretrained("cleared")
for folder in ["unused", "used", "cleared"]:
    whole, bare = PreTrainedTokenizerFast.from_pretrained(folder), Tokenizer.from_file(f"{folder}/tokenizer.json")
    for text in ["abcdefg", "ab"]:
        print(f"{folder}, transformers: {text} is {whole(text)['input_ids']}")
        print(f"{folder}, tokenizers: {text} is {bare.encode(text).ids}")
PY
cat >look.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
for (const folder of ["unused", "used"]) {
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")), {});
  for (const text of ["abcdefg", "ab"]) {
    console.log(`${folder}, JavaScript: ${text} is [${tokenizer.encode(text).ids.join(", ")}]`);
  }
}
JS
cat >expected <<'TEXT'
unused, transformers: abcdefg is [1, 2, 3, 4, 5, 6, 7]
unused, tokenizers: abcdefg is [1, 2, 3, 4, 5, 6, 7]
unused, transformers: ab is [1, 2]
unused, tokenizers: ab is [1, 2]
used, transformers: abcdefg is [1, 2, 3, 4, 5, 6, 7]
used, tokenizers: abcdefg is [1, 2, 3, 4]
used, transformers: ab is [1, 2]
used, tokenizers: ab is [1, 2, 0, 0]
cleared, transformers: abcdefg is [1, 2, 3, 4, 5, 6, 7]
cleared, tokenizers: abcdefg is [1, 2, 3, 4, 5, 6, 7]
cleared, transformers: ab is [1, 2]
cleared, tokenizers: ab is [1, 2]
unused, JavaScript: abcdefg is [1, 2, 3, 4, 5, 6, 7]
unused, JavaScript: ab is [1, 2]
used, JavaScript: abcdefg is [1, 2, 3, 4, 5, 6, 7]
used, JavaScript: ab is [1, 2]
TEXT
{ venv/bin/python look.py 2>/dev/null && node look.mjs; } | tee seen
diff expected seen
