"""PyTorch as an engine of a comparison: CUDA where there is a GPU, else the CPU. TF32 is off.

Speaks the protocol of bench/harness/worker.ts: one JSON request per line, answers behind a mark.
"""

import json
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F

MARK = "@@bench "
COMPARED = 16
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
if DEVICE == "cpu":
    # Waiting threads spin, and CPU time would count it.
    torch.set_num_threads(1)


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def cpu_ms():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (usage.ru_utime + usage.ru_stime)


def input_values(n):
    """The numbers of inputValues() in work_items.ts: state = state * a + c modulo 2^32."""
    # Doubling: the next k states are an affine map of the first k.
    states = torch.empty(n, dtype=torch.int64)
    first = (1664525 + 1013904223) % 2**32
    states[0] = first
    a, c, have = 1664525, 1013904223, 1
    while have < n:
        take = min(have, n - have)
        states[have : have + take] = _times(states[:take], a, c)
        a, c, have = a * a % 2**32, (c * a + c) % 2**32, have + take
    return (states.double() / 2**31 - 1).float().to(DEVICE)


def _times(states, a, c):
    # 64-bit products wrap around, which leaves the low 32 bits right.
    return (states * a + c) & 0xFFFFFFFF


def input_tokens(n, vocabulary):
    return ((input_values(n).double() + 1) / 2 * vocabulary).long()


class Gpt(torch.nn.Module):
    def __init__(self, item):
        super().__init__()
        width, context = item["width"], item["context"]

        def linear(rows, columns):
            values = input_values(rows * columns).reshape(rows, columns)
            return torch.nn.Parameter(values * 0.3 / math.sqrt(rows))

        def ones():
            return torch.nn.Parameter(torch.ones(width, device=DEVICE))

        self.heads = item["heads"]
        self.tokens = linear(item["vocabulary"], width)
        self.positions = linear(context, width)
        self.layers = torch.nn.ModuleList()
        for _ in range(item["layers"]):
            layer = torch.nn.Module()
            layer.norm1, layer.norm2 = ones(), ones()
            layer.qkv, layer.out = linear(width, 3 * width), linear(width, width)
            layer.up, layer.down = linear(width, 4 * width), linear(4 * width, width)
            self.layers.append(layer)
        self.norm = ones()

    def forward(self, ids):
        batch, context = ids.shape
        width = self.tokens.shape[1]
        x = self.tokens[ids] + self.positions
        for layer in self.layers:
            qkv = F.layer_norm(x, (width,), layer.norm1) @ layer.qkv
            q, k, v = (
                part.reshape(batch, context, self.heads, -1).transpose(1, 2)
                for part in qkv.split(width, -1)
            )
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + attended.transpose(1, 2).reshape(batch, context, width) @ layer.out
            x = x + F.gelu(F.layer_norm(x, (width,), layer.norm2) @ layer.up) @ layer.down
        return F.layer_norm(x, (width,), self.norm) @ self.tokens.T


def step(item):
    batch, context, vocabulary = item["batch"], item["context"], item["vocabulary"]
    n = batch * context
    ids = input_tokens(n, vocabulary).reshape(batch, context)
    target = input_tokens(n + 1, vocabulary)[1:]
    model = Gpt(item)
    adam = torch.optim.Adam(model.parameters(), 1e-3, fused=DEVICE == "cuda")

    def run():
        adam.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(ids).reshape(n, vocabulary), target)
        loss.backward()
        adam.step()
        wait()

    return run, None


def prepare(item):
    kind = item["kind"]
    if kind == "matmul":
        m, k, n = item["m"], item["k"], item["n"]
        a = input_values(m * k).reshape((k, m) if item["layout"] == "tn" else (m, k))
        b = input_values(k * n).reshape((n, k) if item["layout"] == "nt" else (k, n))
        a = a.T if item["layout"] == "tn" else a
        b = b.T if item["layout"] == "nt" else b
        out = torch.empty(m, n, device=DEVICE)
        call = lambda: torch.matmul(a, b, out=out)
    elif kind == "softmax":
        x = input_values(item["rows"] * item["columns"]).reshape(item["rows"], item["columns"])
        call = lambda: torch.softmax(x, -1)
    elif kind == "sum":
        x = input_values(item["n"])
        call = lambda: x.sum().reshape(1)
    elif kind == "step":
        return step(item)
    else:
        return None

    def run():
        call()
        wait()

    return run, lambda: call().flatten()[:COMPARED].tolist()


def answer(value):
    sys.stdout.write(MARK + json.dumps(value) + "\n")
    sys.stdout.flush()


NO_CALLS = dict(dispatches=0, passes=0, submits=0, bindGroups=0, buffers=0, bytesToGpu=0)


def handle(request, ready):
    """Answers one request; returns what is ready now."""
    if "prepare" in request:
        ready = prepare(request["prepare"])
        if ready is None:
            answer({"unsupported": True})
            return None
        run, results = ready
        start = time.perf_counter()
        run()
        reply = {"firstMs": 1000 * (time.perf_counter() - start)}
        if results:
            reply["results"] = results()
        answer({"ready": reply})
    else:
        samples = []
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        for _ in range(request["run"]):
            cpu, start = cpu_ms(), time.perf_counter()
            ready[0]()
            wall = 1000 * (time.perf_counter() - start)
            samples.append({"wallMs": wall, "cpuMs": cpu_ms() - cpu})
        peak = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0
        answer({"samples": samples, "calls": NO_CALLS, "peakBytes": peak})
    return ready


def main():
    ready = None
    for line in sys.stdin:
        request = json.loads(line)
        if "close" in request:
            return
        try:
            ready = handle(request, ready)
        except Exception as error:  # the coordinator decides what an error means
            answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
