#!/bin/sh
# @huggingface/tokenizers 0.2.0 (JavaScript) ignores `single_word` of an added token, which stands in tokenizer.json: the token is
# taken out of the middle of a word too. Python's tokenizers 0.23.3 takes it where it is a word of its own. The same file, the
# same text, other ids and another number of them. Needs npm.
# Seen: "xabx" is x a b x in Python, x ab x in JavaScript; "x ab x" is the same in both.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q tokenizers==0.23.3
npm install --silent --no-save --prefix . @huggingface/tokenizers@0.2.0
cat >look.py <<'PY'
from tokenizers import AddedToken, Tokenizer, models

tokenizer = Tokenizer(models.BPE(vocab={sign: i for i, sign in enumerate("abx ")}, merges=[]))
tokenizer.add_tokens([AddedToken("ab", single_word=True)])
tokenizer.save("tokenizer.json")
for text in ["x ab x", "xabx"]:
    print("Python:", text, "is", "|".join(tokenizer.encode(text).tokens))
PY
cat >look.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
const spec = JSON.parse(readFileSync("tokenizer.json", "utf8"));
console.log("tokenizer.json says single_word:", spec.added_tokens[0].single_word);
const tokenizer = new Tokenizer(spec, {});
for (const text of ["x ab x", "xabx"]) {
  console.log("JavaScript:", text, "is", tokenizer.encode(text).tokens.join("|"));
}
JS
cat >expected <<'TEXT'
Python: x ab x is x| |ab| |x
Python: xabx is x|a|b|x
tokenizer.json says single_word: true
JavaScript: x ab x is x| |ab| |x
JavaScript: xabx is x|ab|x
TEXT
{ venv/bin/python look.py && node look.mjs; } | tee seen
diff expected seen
