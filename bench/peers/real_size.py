"""One update and one generation by transformers on the CPU, with one thread: waiting threads spin, and CPU time counts that.

    python real_size.py '{"vocabSize": 49152, ..., "promptLength": 45, "responses": 8, "responseLength": 64, "rounds": 3}'

Weights are random. The loss is the policy gradient's, with advantages of 1 and -1. Prints one line of JSON: medians of
CPU milliseconds.
"""

import json
import statistics
import sys
import time

import torch
import transformers

work = json.loads(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
heads = work["numAttentionHeads"]
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
    vocab_size=work["vocabSize"],
    hidden_size=work["hiddenSize"],
    intermediate_size=work.get("intermediateSize", 4 * work["hiddenSize"]),
    num_hidden_layers=work["numHiddenLayers"],
    num_attention_heads=heads,
    num_key_value_heads=work.get("numKeyValueHeads", heads),
    head_dim=work.get("headDim", work["hiddenSize"] // heads),
    tie_word_embeddings=work.get("tieWordEmbeddings", True),
    max_position_embeddings=work.get("maxPositionEmbeddings", 512),
))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
P, G, M = work["promptLength"], work["responses"], work["responseLength"]
prompts = torch.randint(3, work["vocabSize"], (1, P)).repeat(G, 1)
tokens = torch.cat([prompts, torch.randint(3, work["vocabSize"], (G, M))], 1)
advantages = torch.tensor([1.0, -1.0]).repeat((G + 1) // 2)[:G, None]


def update():
    logits = model(tokens).logits[:, P - 1 : -1]
    chosen = torch.log_softmax(logits, -1).gather(-1, tokens[:, P:, None]).squeeze(-1)
    (-(torch.exp(chosen - chosen.detach()) * advantages).mean()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def generate():
    n = work["newTokens"]
    model.generate(
        prompts, do_sample=True, top_k=0, max_new_tokens=n, min_new_tokens=n, pad_token_id=0, eos_token_id=None
    )


def cpu_ms(do):
    before = time.process_time()
    do()
    return 1000 * (time.process_time() - before)


times = [(cpu_ms(update), cpu_ms(generate)) for _ in range(work["rounds"] + 1)][1:]
print(json.dumps({
    "version": f"{transformers.__version__} (torch {torch.__version__})",
    "updateMs": statistics.median(t[0] for t in times),
    "updateTokens": tokens.numel(),
    "generateMs": statistics.median(t[1] for t in times),
}))
