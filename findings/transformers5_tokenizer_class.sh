#!/bin/sh
# transformers 5.18.0: AutoTokenizer takes the class that tokenizer_config.json names and builds the tokenizer anew from its vocabulary and
# merges; for GPT2Tokenizer and LlamaTokenizerFast the pre-tokenizer that stands in tokenizer.json is dropped without a warning,
# so that the same text has other ids than in 4.57.1, which read the file as it is. Folders whose digits stand alone (as SmolLM2's, named
# GPT2Tokenizer) are met where it shows: numbers. The name PreTrainedTokenizerFast, or loading with that class, keeps the file.
# Seen: "125+25" with single digits is six tokens in 4.57.1; in 5.18.0 it is 125 + 25 under those two names and six under the
# other two.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >write.py <<'PY'
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

signs = {sign: i for i, sign in enumerate([*"0125+", "<|endoftext|>", "12", "25", "125"])}
tokenizer = Tokenizer(models.BPE(vocab=signs, merges=[("1", "2"), ("2", "5"), ("12", "5")]))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)
tokenizer.decoder = decoders.ByteLevel()
for name in ["PreTrainedTokenizerFast", "Qwen2Tokenizer", "GPT2Tokenizer", "LlamaTokenizerFast"]:
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(name)
    path = Path(name) / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": name}))
PY
cat >read.py <<'PY'
import transformers
from transformers import AutoTokenizer

for name in ["PreTrainedTokenizerFast", "Qwen2Tokenizer", "GPT2Tokenizer", "LlamaTokenizerFast"]:
    tokenizer = AutoTokenizer.from_pretrained(name)
    print(f"transformers {transformers.__version__}, {name}: {' '.join(tokenizer.tokenize('125+25'))}")
PY
cat >expected <<'TEXT'
transformers 4.57.1, PreTrainedTokenizerFast: 1 2 5 + 2 5
transformers 4.57.1, Qwen2Tokenizer: 1 2 5 + 2 5
transformers 4.57.1, GPT2Tokenizer: 1 2 5 + 2 5
transformers 4.57.1, LlamaTokenizerFast: 1 2 5 + 2 5
transformers 5.18.0, PreTrainedTokenizerFast: 1 2 5 + 2 5
transformers 5.18.0, Qwen2Tokenizer: 1 2 5 + 2 5
transformers 5.18.0, GPT2Tokenizer: 125 + 25
transformers 5.18.0, LlamaTokenizerFast: 125 + 25
TEXT
for version in 4.57.1 5.18.0; do
  python3 -m venv "venv-$version"
  "venv-$version/bin/pip" install -q "transformers==$version"
  [ -d GPT2Tokenizer ] || "venv-$version/bin/python" write.py 2>/dev/null
  "venv-$version/bin/python" read.py 2>/dev/null
done | tee seen
diff expected seen
