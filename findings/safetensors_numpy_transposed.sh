#!/bin/sh
# safetensors 0.8.0 with numpy 2.4.6: safetensors.numpy.save writes the bytes of a transposed array in the order in which
# they lie in memory, under the transposed shape and without an error. What is loaded has other numbers. Whoever exports
# weights by x.T has to write np.ascontiguousarray(x.T).
# Seen: saved [[0, 3], [1, 4], [2, 5]], loaded [[0, 1], [2, 3], [4, 5]].
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q safetensors==0.8.0 numpy==2.4.6
cat >look.py <<'PY'
import numpy as np
from safetensors.numpy import load, save

weights = np.arange(6, dtype=np.float32).reshape(2, 3).T
for name, array in {"transposed": weights, "copied first": np.ascontiguousarray(weights)}.items():
    loaded = load(save({"weight": array}))["weight"]
    print(f"{name}: saved {array.astype(int).tolist()}, loaded {loaded.astype(int).tolist()}")
PY
cat >expected <<'TEXT'
transposed: saved [[0, 3], [1, 4], [2, 5]], loaded [[0, 1], [2, 3], [4, 5]]
copied first: saved [[0, 3], [1, 4], [2, 5]], loaded [[0, 3], [1, 4], [2, 5]]
TEXT
venv/bin/python look.py | tee seen
diff expected seen
