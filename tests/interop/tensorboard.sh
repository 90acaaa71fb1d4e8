#!/bin/sh
# Event files of --report-to tensorboard, read back by TensorBoard's own loader from PyPI.
# Outside CI; needs python3 with venv, deno and the network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python3 -m venv "$temp/venv"
"$temp/venv/bin/pip" install -q tensorboard==2.20.0 'setuptools<81'
mkdir "$temp/run"
deno run --no-check --allow-read --allow-write="$temp/run" "$here/tensorboard_events.ts" "$temp/run"
"$temp/venv/bin/python" "$here/read_tensorboard.py" "$temp/run"
stored=$("$temp/venv/bin/python" "$here/read_tensorboard.py" --stored)
grep -q "$stored" "$here/../run/tensorboard_log_test.ts"
echo "the bytes stored in tests/run/tensorboard_log_test.ts are TensorBoard's"
