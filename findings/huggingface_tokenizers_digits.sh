#!/bin/sh
# @huggingface/tokenizers 0.2.0 (JavaScript) against Python's tokenizers 0.23.3: the same tokenizer.json gives other tokens for
# fractions and powers where its pre-tokenizer is Digits. Python counts as a digit what Unicode calls a number (one half, a
# superscript two), JavaScript 0 to 9 and other decimal digits only, so merges across the border are not made. Needs npm.
# Seen: 3½ and 2² are one token in Python and two in JavaScript; 12 is the same.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q tokenizers==0.23.3
npm install --silent --no-save --prefix . @huggingface/tokenizers@0.2.0
cat >look.py <<'PY'
from tokenizers import Tokenizer, models, pre_tokenizers

signs = ["1", "2", "3", "\u00bd", "\u00b2", "m", "12", "2\u00b2", "3\u00bd"]
merges = [("1", "2"), ("2", "\u00b2"), ("3", "\u00bd")]
tokenizer = Tokenizer(models.BPE(vocab={sign: i for i, sign in enumerate(signs)}, merges=merges))
tokenizer.pre_tokenizer = pre_tokenizers.Digits(individual_digits=False)
tokenizer.save("tokenizer.json")
for text in ["12", "m2\u00b2", "3\u00bd"]:
    print("Python:", text, "is", " ".join(tokenizer.encode(text).tokens))
PY
cat >look.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
const tokenizer = new Tokenizer(JSON.parse(readFileSync("tokenizer.json", "utf8")), {});
for (const text of ["12", "m2²", "3½"]) {
  console.log("JavaScript:", text, "is", tokenizer.encode(text).tokens.join(" "));
}
JS
cat >expected <<'TEXT'
Python: 12 is 12
Python: m2² is m 2²
Python: 3½ is 3½
JavaScript: 12 is 12
JavaScript: m2² is m 2 ²
JavaScript: 3½ is 3 ½
TEXT
{ PYTHONUTF8=1 venv/bin/python look.py && node look.mjs; } | tee seen
diff expected seen
