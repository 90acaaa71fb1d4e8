#!/bin/sh
# transformers 5.9.0: a tokenizer that save_pretrained wrote (tokenizer_class TokenizersBackend) beside the config.json of a
# qwen2 model comes back from AutoTokenizer as a Qwen2Tokenizer, with another model and pre-tokenizer: the same text has
# other ids, without a warning. The tokenizer alone in a folder, or with tokenizer_class PreTrainedTokenizerFast, is right.
#
# Seen: alone [2, 3, 4], beside a qwen2 config.json something else, renamed [2, 3, 4].
set -eu
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3 -m venv "$temp/venv"
"$temp/venv/bin/pip" install -q transformers==5.9.0 tokenizers==0.22.2
cd "$temp"
HF_HUB_OFFLINE=1 "$temp/venv/bin/python" - <<'PY'
import json
from pathlib import Path
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config

inner = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "0": 2, "1": 3, ":": 4}, unk_token="<pad>"))
inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
inner.decoder = decoders.Fuse()
saved = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>")
saved.save_pretrained("alone")
saved.save_pretrained("beside")
Qwen2Config().save_pretrained("beside")
Qwen2Config().save_pretrained("renamed")
saved.save_pretrained("renamed")
path = Path("renamed/tokenizer_config.json")
path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}))
found = {}
for name in ("alone", "beside", "renamed"):
    tokenizer = AutoTokenizer.from_pretrained(name)
    found[name] = (type(tokenizer).__name__, tokenizer("01:")["input_ids"])
    print(name, *found[name])
assert found["alone"][1] == found["renamed"][1] == [2, 3, 4], found
assert found["beside"][0] == "Qwen2Tokenizer" and found["beside"][1] != [2, 3, 4], found
PY
echo "as before: transformers 5.9.0 reads it as Qwen2's"
