#!/bin/bash
# Reads folders that deltal saved with transformers, and compares configurations, weights and logits.
# Not part of the tests: it installs torch (some GiB) into a temporary environment.
#
#     tests/interop/transformers_roundtrip.sh [python with torch, transformers and safetensors]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DENO_WEBGPU_BACKEND=vulkan,metal,dx12
deno run --allow-read="tests,$work" --allow-write="$work" tests/interop/transformers_roundtrip.ts "$work"
if [ $# -gt 0 ]; then
  "$1" tests/interop/transformers_roundtrip.py "$work"
  exit
fi
python3 -m venv "$work/venv"
for version in 5.18.0 4.57.1; do
  "$work/venv/bin/pip" install -q torch==2.13.0 transformers==$version safetensors numpy
  "$work/venv/bin/python" tests/interop/transformers_roundtrip.py "$work"
done
