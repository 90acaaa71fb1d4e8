"""Compares what `real_model_check.ts` prints with transformers; exits with 1 if they differ.

Needs torch 2.13.0 and transformers 5.18.0 beside what `real_model.py` needs.
"""

import json
import sys

import torch
import transformers

folder = sys.argv[1]
transformers.logging.set_verbosity_error()
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
failed = False
for line in sys.stdin:
    found = json.loads(line)
    ids = torch.tensor([found["ids"]])
    with torch.no_grad():
        logits = model(ids).logits.flatten()
        greedy = model.generate(ids, do_sample=False, max_new_tokens=24, pad_token_id=model.config.pad_token_id)
    error = ((logits - torch.tensor(found["logits"], dtype=torch.float64)).abs().max() / logits.abs().max()).item()
    same_ids = tokenizer(found["text"], add_special_tokens=False).input_ids == found["ids"]
    same_text = tokenizer.decode(found["ids"]) == found["text"]
    same_greedy = greedy[0, ids.shape[1]:].tolist() == found["greedy"]
    ok = error < 2e-5 and same_ids and same_text and same_greedy
    failed |= not ok
    print(f"{'ok  ' if ok else 'FAIL'} {ids.shape[1]} tokens: logits differ by {error:.1e}, ids {same_ids}, "
          f"text {same_text}, greedy {same_greedy}: {found['answer']!r}")
sys.exit(failed)
