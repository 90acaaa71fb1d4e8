"""Reads what transformers_roundtrip.ts saved; exits with 1 if transformers sees anything else than deltal."""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

transformers.logging.set_verbosity_error()
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
# Says who wrote a file, or how it is run; nothing about the model.
IGNORED = {"transformers_version", "_name_or_path", "dtype", "initializer_range", "no_rope_layer_interval"}
failed = False
for folder in sorted((pathlib.Path(sys.argv[1]) / "saved").iterdir()):
    expected = json.loads((folder / "expected.json").read_text())
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", output_loading_info=True
    )
    keys = {name: sorted(info[name]) for name in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    with torch.no_grad():
        logits = model(torch.tensor(expected["tokens"])).logits.flatten()
    found = torch.tensor(expected["logits"], dtype=torch.float64)
    error = ((logits - found).abs().max() / logits.abs().max()).item()
    before = AutoConfig.from_pretrained(expected["from"]).to_dict()
    after = AutoConfig.from_pretrained(folder).to_dict()
    differs = {
        key: (before.get(key), after[key])
        for key in after
        if key in before and key not in IGNORED and before[key] != after[key]
    }
    if transformers.__version__.startswith("4."):
        # It does not see the rope_parameters of the fixtures, which transformers 5 wrote.
        differs = {key: value for key, value in differs.items() if not key.startswith("rope_")}
    weights = load_file(f"{expected['from']}/model.safetensors")
    saved = load_file(folder / "model.safetensors")
    same = weights.keys() == saved.keys() and all(torch.equal(weights[k], saved[k]) for k in weights)
    generation = {}
    if pathlib.Path(expected["from"], "generation_config.json").exists():
        a, b = (GenerationConfig.from_pretrained(p).to_dict() for p in (expected["from"], folder))
        generation = {k: (a[k], b.get(k)) for k in a if k not in IGNORED and a[k] != b.get(k)}
    ok = not any(keys.values()) and error < 2e-5 and not differs and same and not generation
    failed |= not ok
    print(f"{'ok  ' if ok else 'FAIL'} {folder.name}: logits differ by {error:.1e}, weights {'equal' if same else 'differ'},",
          f"keys {keys}, config {differs or 'equal'}, generation {generation or 'equal'}")
sys.exit(failed)
