"""Writes tests/fixtures/tiny-qwen2/lora.safetensors: adapters of PEFT's on every linear layer, and the gradients of a loss
with respect to them, in float64.

    python tests/interop/lora_oracle.py      # with torch 2.11.0, transformers 5.9.0, peft 0.21.2, safetensors
"""

import pathlib

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "tiny-qwen2"
PROMPT = [3, 4]
COMPLETIONS = [[5, 6, 7, 1], [8, 9, 1]]
ADVANTAGES = [0.5, -0.5]

torch.manual_seed(7)
model = transformers.AutoModelForCausalLM.from_pretrained(
    FOLDER, dtype=torch.float64, attn_implementation="eager"
)
model = get_peft_model(
    model, LoraConfig(r=2, lora_alpha=3, target_modules="all-linear", task_type="CAUSAL_LM")
)
adapters = {name: p for name, p in model.named_parameters() if "lora_" in name}
with torch.no_grad():
    for name, parameter in adapters.items():
        # What float32 holds, and B not zero.
        parameter.copy_(torch.randn_like(parameter).mul_(0.2).float())
loss = 0.0
for completion, advantage in zip(COMPLETIONS, ADVANTAGES):
    tokens = torch.tensor([PROMPT + completion])
    log_probs = model(tokens).logits[0, len(PROMPT) - 1 : -1].log_softmax(-1)
    loss = loss - advantage * log_probs.gather(-1, tokens[0, len(PROMPT) :, None]).sum()
loss = loss / sum(map(len, COMPLETIONS))
loss.backward()
tensors = {"loss": loss.detach().reshape(1).float()}
for name, parameter in adapters.items():
    short = name.removeprefix("base_model.model.").replace(".default", "")
    tensors[short] = parameter.detach().float().contiguous()
    tensors[f"{short}.grad"] = parameter.grad.float().contiguous()
save_file(tensors, FOLDER / "lora.safetensors")
print(f"{len(adapters)} adapters, loss {loss.item():.6f}")
