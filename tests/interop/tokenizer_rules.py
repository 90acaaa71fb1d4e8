"""Writes tests/fixtures/tiny-bpe/rules.json: what Python's tokenizers makes of texts under rules that JavaScript reads in
another way. Run with tokenizers 0.23.3 installed:

    python tests/interop/tokenizer_rules.py
"""

import json
import pathlib

from tokenizers import Tokenizer, __version__, normalizers, pre_tokenizers

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "tiny-bpe"
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
RULES = {
    "Digits, one by one": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORDS]),
    "Digits, together": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), BYTES]),
    "ByteLevel with its words": WORDS,
    "Whitespace": pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), BYTES]),
    "WhitespaceSplit": pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), BYTES]),
    "BertPreTokenizer": pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), BYTES]),
    "Strip": WORDS,
}
TEXTS = ["a != b", "3½ x² Ⅳ7 12½", "the\u00bd answer", "\ufeffthe numbers", "the\ufeffnumbers", " \ufeff ", "\u0085the\u0085",
         "the\u0085's number's", "café_the, 'numbers'!", "  the  numbers\t\n", "don't 1+2=3", "①②the٣"]
# Merges across what has to be kept apart (the first byte of ½ and of ²), so that it shows.
EXTRA = [["2", "Â"], ["e", "Â"]]
spec = json.loads((FOLDER / "tokenizer.json").read_text())
for i, (left, right) in enumerate(EXTRA):
    spec["model"]["vocab"][left + right] = 1000 + i
spec["model"]["merges"] = [" ".join(pair) for pair in EXTRA] + spec["model"]["merges"]
rules = {}
for name, rule in RULES.items():
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.pre_tokenizer = rule
    if name == "Strip":
        tokenizer.normalizer = normalizers.Strip()
    said = json.loads(tokenizer.to_str())
    rules[name] = {
        "pre_tokenizer": said["pre_tokenizer"],
        "normalizer": said["normalizer"],
        "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS],
    }
(FOLDER / "rules.json").write_text(
    json.dumps({"tokenizers": __version__, "extra_merges": EXTRA, "texts": TEXTS, "rules": rules}) + "\n"
)
print(f"tokenizers {__version__}: {len(rules)} rules, {len(TEXTS)} texts")
