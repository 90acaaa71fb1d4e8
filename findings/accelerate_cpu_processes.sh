#!/bin/sh
# accelerate 1.15.0: `accelerate launch --cpu --num_processes 2 script.py` starts the script once, in a world of one process, and says
# nothing. A run meant to try out two processes (TRL's trainers are started like this) then tests none of what differs between
# them. On a machine without GPUs two are started by --multi_gpu, by its name the opposite, or by torchrun. Needs 6 GB for
# torch 2.11.0 and its libraries.
# Seen: one process with --cpu, two with --multi_gpu and with torchrun.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile accelerate==1.15.0 torch==2.11.0 numpy==2.4.6
cat >look.py <<'PY'
import os

rank, size = os.environ.get("RANK", "alone"), os.environ.get("WORLD_SIZE", "1")
os.write(1, f"process {rank} of {size}\n".encode())
PY
cat >expected <<'TEXT'
--cpu: process alone of 1
--multi_gpu: process 0 of 2, process 1 of 2
torchrun: process 0 of 2, process 1 of 2
TEXT
try() {
  name=$1
  shift
  OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES="" "$@" look.py 2>errors | sort >started
  echo "$name: $(paste -sd, started | sed 's/,/, /g')"
}
options="--num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
{
  try --cpu venv/bin/accelerate launch --cpu $options
  try --multi_gpu venv/bin/accelerate launch --multi_gpu $options
  try torchrun venv/bin/torchrun --nproc_per_node 2
} | tee seen
diff expected seen
