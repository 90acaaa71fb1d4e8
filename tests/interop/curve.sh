#!/bin/sh
# Trains parity by deltal and by TRL from one warm start with the same settings, for run.sh: both have to learn alike.
set -eu
deltal=$1 warm=$2 here=$3
steps=${STEPS:-30}
set -- --task parity --prompts-per-step 8 --max-steps "$steps"
$deltal train "$@" --out runs/curve --no-report # begins from that warm start too
$deltal export --to trl --checkpoint "$warm" "$@" --reward "$here/parity_reward.py" --out curve --held-prompts 8
python curve/train.py --use_cpu true --bf16 false --gradient_checkpointing false --save_strategy no \
  --per_device_train_batch_size 128
python - <<'PY'
import json, os

ours = [json.loads(line) for line in open("runs/curve/metrics.jsonl")]
ours = [line["reward/mean"] for line in ours if "reward/mean" in line]
theirs = json.load(open("curve/checkpoints/trainer_state.json"))["log_history"]
theirs = [line["reward"] for line in theirs if "reward" in line]
mean = lambda values: sum(values) / len(values)
fifth = max(1, len(ours) // 5)
for first in range(0, len(ours), fifth):
    rewards = [mean(curve[first : first + fifth]) for curve in (ours, theirs)]
    print(f"curve steps {first + 1} to {first + fifth}: deltal {rewards[0]:.3f}, TRL {rewards[1]:.3f}")
ends = [mean(curve[-fifth:]) for curve in (ours, theirs)]
assert len(ours) == len(theirs) and min(ends) > mean(ours[:fifth]) + 0.1, ends
assert abs(ends[0] - ends[1]) < 0.1, ends
PY
