"""Computes anew, with transformers in float64, what tests/fixtures/families says transformers computes.

    python tests/interop/family_oracle.py      # with torch 2.13.0, transformers 5.18.0, safetensors
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
FAMILIES = pathlib.Path(__file__).parent.parent / "fixtures" / "families"
LOGITS_OF = [1, 4, 8]


def weights(rule, lengths, m):
    """x_i of each response: its weight in the sum over tokens."""
    if rule == "grpo":
        return 1 / (len(lengths) * lengths)
    if rule == "dapo":
        return torch.ones_like(lengths) / lengths.sum()
    if rule == "dr_grpo":
        return torch.ones_like(lengths) / (len(lengths) * m)
    power = lengths ** -float(rule.split(":")[1])
    return power / (m * power.sum())


def check(folder):
    oracle = json.loads((folder / "oracle.json").read_text())
    truth = load_file(folder / "oracle.safetensors")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    )
    tokens = torch.tensor(oracle["tokens"])
    lengths = torch.tensor(oracle["response_lengths"], dtype=torch.float64)
    p, g = oracle["prompt_length"], oracle["num_generations"]
    rewards = torch.tensor(oracle["rewards"], dtype=torch.float64).view(-1, g)
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-6)
    a = advantages.view(-1, 1)
    old = truth["old_log_probs"].double()
    mask = torch.arange(old.shape[1]) < lengths[:, None]
    errors = {}

    def compare(name, found, expected, scale=None):
        scale = expected.abs().max() if scale is None else scale
        errors[name] = max(errors.get(name, 0), ((found - expected).abs().max() / scale).item())

    largest = max(abs(case["loss"]) for case in oracle["cases"].values())
    for name, case in oracle["cases"].items():
        model.zero_grad()
        logits = model(tokens).logits
        log_probs = logits[:, p - 1 : -1].log_softmax(-1).gather(-1, tokens[:, p:, None])[..., 0]
        ratio = torch.where(mask, (log_probs - old).exp(), 1.0)
        clipped = ratio.clamp(1 - oracle["clip_ratio_low"], 1 + oracle["clip_ratio_high"])
        per_token = torch.max(-a * ratio, -a * clipped)
        dual = torch.min(per_token, -a * oracle["clip_ratio_c"])
        per_token = torch.where(a < 0, dual, per_token) * mask
        rule = name.removeprefix("clip.")
        loss = (weights(rule, lengths, oracle["M"]) * per_token.sum(1)).sum()
        loss.backward()
        norm = torch.sqrt(sum((q.grad**2).sum() for q in model.parameters()))
        compare("loss", loss.detach(), torch.tensor(case["loss"]), largest)
        compare("grad_norm", norm, torch.tensor(case["grad_norm"], dtype=torch.float64))
        for key, parameter in model.named_parameters():
            stored = truth.get(f"grad.{name}.{key}")
            if stored is not None:
                compare("gradients", parameter.grad, stored.double())
    compare("logits", logits[LOGITS_OF].detach(), truth["logits"].double())
    for i, expected in enumerate(oracle["greedy"]):
        row = tokens[g * i, :p][None]
        for _ in expected:
            row = torch.cat([row, model(row).logits[:, -1].argmax(-1, keepdim=True)], 1)
        assert row[0, p:].tolist() == expected, (folder.name, row[0, p:].tolist(), expected)
    print(folder.name, {name: f"{error:.1e}" for name, error in errors.items()})
    return max(errors.values()) < 1e-6


print(f"transformers {transformers.__version__}, torch {torch.__version__}")
sys.exit(not all([check(folder) for folder in sorted(FAMILIES.iterdir())]))
