#!/bin/bash
# transformers 4.57.1 reads a config.json that transformers 5.18.0 wrote without a warning, and with another rotation:
# rope_theta and the llama3 scaling stand in `rope_parameters`, which it takes for an attribute of no meaning. The model
# then runs with theta 10000 and unscaled.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv new && python3 -m venv old
new/bin/pip install -q transformers==5.18.0
old/bin/pip install -q transformers==4.57.1
cat > write.py <<'PY'
import transformers
from transformers import LlamaConfig
scaling = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
           "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
LlamaConfig(max_position_embeddings=131072, rope_parameters=scaling).save_pretrained("model")
config = LlamaConfig.from_pretrained("model")
print(f"transformers {transformers.__version__}: rope_parameters {config.rope_parameters}")
PY
cat > read.py <<'PY'
import sys, transformers
from transformers import AutoConfig
config = AutoConfig.from_pretrained("model")
print(f"transformers {transformers.__version__}: rope_theta {config.rope_theta}, rope_scaling {config.rope_scaling}")
sys.exit(0 if (config.rope_theta, config.rope_scaling) == (10000.0, None) else 1)
PY
new/bin/python write.py 2>&1 | grep -v PyTorch
old/bin/python read.py 2>&1 | tee out | grep -v PyTorch
if grep -iq "warn\|rope_parameters" out; then echo "it says something now"; exit 1; fi
