#!/bin/sh
# safetensors 0.8.0 with numpy 2.4.6 and ml_dtypes 0.6.0: safetensors.numpy.save takes a bfloat16 array and writes a right
# file, and safetensors.numpy.load of the same bytes raises KeyError: 'BF16'. Most published models are bfloat16, so a check
# of a checkpoint without PyTorch has to read the header and the bytes itself.
# Seen: dtype BF16 in the header, then KeyError 'BF16'.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
cat >look.py <<'PY'
import json
import ml_dtypes
import numpy as np
from safetensors.numpy import load, save

data = save({"weight": np.array([1, -2], ml_dtypes.bfloat16)})
size = int.from_bytes(data[:8], "little")
header = json.loads(data[8 : 8 + size])["weight"]
print("saved", header["dtype"], header["shape"], np.frombuffer(data[8 + size :], ml_dtypes.bfloat16).astype(int).tolist())
try:
    print("loaded", load(data))
except KeyError as error:
    print("load: KeyError", error)
PY
cat >expected <<'TEXT'
saved BF16 [2] [1, -2]
load: KeyError 'BF16'
TEXT
venv/bin/python look.py | tee seen
diff expected seen
