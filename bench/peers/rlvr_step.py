"""One step of reinforcement learning with verifiable rewards in PyTorch, as a user would write it.

The same policy (Qwen2: RMSNorm, rotary embedding, SwiGLU, q/k/v biases, tied head), the same shapes, the same loss
(clipped surrogate, GRPO advantages, weights 1 / length) and the same optimizer (AdamW after clipping by norm) as
deltal's step. Generation has a key/value cache; prompts have one length, responses are padded to the longest, which is
what eager PyTorch does well. Everything stays on the device until the verifier.

    python rlvr_step.py '{"hiddenSize": 128, ...}' [--compile]

With --compile decoding and the training pass go through torch.compile; decoding then has static shapes and, on CUDA,
CUDA graphs. Prints one line of JSON.
"""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
EOS = 1


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Layer(torch.nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, width, bias=False)
        self.gate_up = torch.nn.Linear(width, 2 * inner, bias=False)
        self.down = torch.nn.Linear(inner, width, bias=False)
        self.norm1 = torch.nn.RMSNorm(width, 1e-6)
        self.norm2 = torch.nn.RMSNorm(width, 1e-6)


class Policy(torch.nn.Module):
    def __init__(self, shape, longest):
        super().__init__()
        self.width, self.heads = shape["hiddenSize"], shape["numAttentionHeads"]
        self.head_dim = self.width // self.heads
        self.tokens = torch.nn.Embedding(shape["vocabSize"], self.width)
        torch.nn.init.normal_(self.tokens.weight, std=0.02)
        self.layers = torch.nn.ModuleList(
            Layer(self.width, shape["intermediateSize"]) for _ in range(shape["numHiddenLayers"])
        )
        self.norm = torch.nn.RMSNorm(self.width, 1e-6)
        rates = 10000.0 ** (-torch.arange(0, self.head_dim, 2).float() / self.head_dim)
        angles = torch.outer(torch.arange(longest).float(), rates)
        self.register_buffer("cos", torch.cat([angles.cos()] * 2, -1), persistent=False)
        self.register_buffer("sin", torch.cat([angles.sin()] * 2, -1), persistent=False)

    def rotate(self, x, cos, sin):
        half = self.head_dim // 2
        return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

    def forward(self, ids, positions, attend):
        """Hidden states; attend(layer, q, k, v) sees q, k, v as (B, H, T, D)."""
        batch, length = ids.shape
        cos, sin = self.cos[positions], self.sin[positions]
        x = self.tokens(ids)
        for index, layer in enumerate(self.layers):
            qkv = layer.qkv(layer.norm1(x)).view(batch, length, 3, self.heads, self.head_dim)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            attended = attend(index, self.rotate(q, cos, sin), self.rotate(k, cos, sin), v)
            x = x + layer.out(attended.transpose(1, 2).reshape(batch, length, self.width))
            gate, up = layer.gate_up(layer.norm2(x)).chunk(2, -1)
            x = x + layer.down(F.silu(gate) * up)
        return self.norm(x)

    def logits(self, hidden):
        return hidden @ self.tokens.weight.T


def causal(_layer, q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Generator:
    """Generation with a cache of fixed size; a prompt is prefilled once for its samples."""

    def __init__(self, policy, work, compiled):
        self.policy, self.work, self.compiled = policy, work, compiled
        self.batch = work["prompts"] * work["numGenerations"]
        self.longest = work["promptLength"] + work["maxCompletionLength"]
        shape = (len(policy.layers), self.batch, policy.heads, self.longest, policy.head_dim)
        self.keys = torch.zeros(shape, device=DEVICE)
        self.values = torch.zeros(shape, device=DEVICE)
        self.range = torch.arange(self.longest, device=DEVICE)
        mode = "reduce-overhead" if DEVICE == "cuda" else None
        self.step = torch.compile(self.decode_static, mode=mode) if compiled else self.decode

    def attend_cache(self, position, mask, length):
        def attend(layer, q, k, v):
            self.keys[layer].index_copy_(2, position, k)
            self.values[layer].index_copy_(2, position, v)
            return F.scaled_dot_product_attention(
                q, self.keys[layer, :, :, :length], self.values[layer, :, :, :length], mask
            )

        return attend

    def draw(self, hidden):
        logp = F.log_softmax(self.policy.logits(hidden), -1)
        ids = torch.multinomial(logp.exp(), 1)
        return ids, logp.gather(1, ids)

    def decode(self, ids, position, length):
        """Eager: attends to exactly the tokens there are."""
        attend = self.attend_cache(position, None, length)
        return self.draw(self.policy(ids, position, attend)[:, 0])

    def decode_static(self, ids, position, _length):
        """Compiled: shapes never change, later places of the cache are masked."""
        mask = (self.range <= position)[None, None, None]
        attend = self.attend_cache(position, mask, self.longest)
        return self.draw(self.policy(ids, position, attend)[:, 0])

    @torch.no_grad()
    def run(self, prompts):
        work, start = self.work, self.work["promptLength"]
        positions = self.range[:start]

        def prefill(layer, q, k, v):
            for cache, new in ((self.keys, k), (self.values, v)):
                cache[layer, :, :, :start] = new.repeat_interleave(work["numGenerations"], 0)
            return causal(layer, q, k, v)

        last = self.policy(prompts, positions, prefill)[:, -1]
        ids, logp = self.draw(last.repeat_interleave(work["numGenerations"], 0))
        tokens, logps = [ids], [logp]
        finished = ids == EOS
        for t in range(1, work["maxCompletionLength"]):
            # To ask the device costs a synchronisation: not at every token.
            if t % 16 == 0 and bool(finished.all()):
                break
            position = self.range[start + t - 1 : start + t]
            if self.compiled and DEVICE == "cuda":
                torch.compiler.cudagraph_mark_step_begin()
            ids, logp = self.step(ids, position, start + t)
            ids, logp = ids.clone(), logp.clone()
            finished = finished | (ids == EOS)
            tokens.append(ids)
            logps.append(logp)
        tokens, logps = torch.cat(tokens, 1), torch.cat(logps, 1)
        # Up to and with the first end of sequence.
        mask = ((tokens == EOS).cumsum(1) - (tokens == EOS).long()) == 0
        return tokens, logps, mask


class Trainer:
    def __init__(self, work, compiled):
        torch.manual_seed(0)
        shape = work["config"]
        longest = work["promptLength"] + work["maxCompletionLength"]
        self.work = work
        self.policy = Policy(shape, longest).to(DEVICE)
        self.generator = Generator(self.policy, work, compiled)
        fused = {"fused": True} if DEVICE == "cuda" else {}
        self.adam = torch.optim.AdamW(self.policy.parameters(), 1e-6, weight_decay=0, **fused)
        self.loss = torch.compile(self.token_losses, dynamic=False) if compiled else self.token_losses
        self.compiled = compiled

    def token_losses(self, sequences, old, advantages, weights):
        """Sum over responses of weight * sum over tokens of the clipped surrogate."""
        start = self.work["promptLength"]
        positions = torch.arange(sequences.shape[1] - 1, device=DEVICE)
        hidden = self.policy(sequences[:, :-1], positions, causal)[:, start - 1 :]
        logp = F.log_softmax(self.policy.logits(hidden), -1)
        logp = logp.gather(2, sequences[:, start:, None])[..., 0]
        ratio = (logp - old).exp()
        clipped = ratio.clamp(0.8, 1.28)
        return -(torch.minimum(ratio * advantages, clipped * advantages) * weights).sum()

    def update(self, prompts, tokens, old, mask):
        work = self.work
        # The verifier of the other side: is the sum of the ids even?
        sums = (tokens * mask).sum(1).tolist()
        rewards = torch.tensor([float(s % 2 == 0) for s in sums], device=DEVICE)
        groups = rewards.view(-1, work["numGenerations"])
        spread = groups.std(1, keepdim=True) + 1e-4
        advantages = ((groups - groups.mean(1, keepdim=True)) / spread).view(-1, 1)
        lengths = mask.sum(1, keepdim=True)
        inverse = 1 / lengths
        weights = mask * inverse / inverse.sum() / work["maxCompletionLength"]
        if self.compiled:
            # Static shapes: a new length would compile again.
            missing = work["maxCompletionLength"] - tokens.shape[1]
            tokens, old, weights = (F.pad(x, (0, missing)) for x in (tokens, old, weights))
        else:
            longest = int(lengths.max())
            tokens, old, weights = (x[:, :longest] for x in (tokens, old, weights))
        repeated = prompts.repeat_interleave(work["numGenerations"], 0)
        sequences = torch.cat([repeated, tokens], 1)
        self.adam.zero_grad(set_to_none=True)
        most = max(1, work["maxTokensPerMicroBatch"] // sequences.shape[1])
        # Equal parts, so that a compiled pass has one shape.
        rows = max(rows for rows in range(1, most + 1) if len(sequences) % rows == 0)
        for at in range(0, len(sequences), rows):
            part = slice(at, at + rows)
            loss = self.loss(sequences[part], old[part], advantages[part], weights[part])
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.adam.step()
        return norm

    def step(self):
        work = self.work
        shape = (work["prompts"], work["promptLength"])
        prompts = torch.randint(2, work["config"]["vocabSize"], shape, device=DEVICE)
        wait()
        start = time.perf_counter()
        tokens, old, mask = self.generator.run(prompts)
        count = int(mask.sum())
        generated = time.perf_counter()
        norm = float(self.update(prompts, tokens, old, mask))
        if not math.isfinite(norm):
            raise ValueError(f"gradient norm {norm}")
        end = time.perf_counter()
        return {"generate": generated - start, "update": end - generated, "tokens": count}


def main():
    work = json.loads(sys.argv[1])
    compiled = "--compile" in sys.argv
    trainer = Trainer(work, compiled)
    start = time.perf_counter()
    trainer.step()
    first = time.perf_counter() - start
    trainer.step()
    steps = [trainer.step() for _ in range(work["steps"])]
    median = lambda name: sorted(step[name] for step in steps)[len(steps) // 2]
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU",
                "version": torch.__version__,
                "parameters": sum(p.numel() for p in trainer.policy.parameters()),
                "firstMs": 1000 * first,
                "generateMs": 1000 * median("generate"),
                "updateMs": 1000 * median("update"),
                "tokens": median("tokens"),
                "peakBytes": torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0,
            }
        )
    )


if __name__ == "__main__":
    main()
