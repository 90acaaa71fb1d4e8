#!/bin/sh
# verl 0.9.1: GRPO's advantage of a group whose rewards are all the same is not 0 unless the reward is one that sums without
# rounding, such as 0 or 1. The mean of ten float32 rewards of 1.1 (right answer and a format bonus of 0.1, say) is off by 1.2e-7, their
# standard deviation is as small, and the epsilon of 1e-6 does not hide it: each gets an advantage of -0.1, all of one sign, where 1
# is what a right answer among wrong ones gets. A batch of nothing but solved prompts then moves the policy.
# On a CPU; which rewards round, and which way, depends on how the sum is split. Needs 6 GB for torch and its libraries.
# Seen: exactly 0 for 0 and 1; above 0.05 for some of the twenty rewards 0.1, 0.2 ... 2.0 in groups of 10 and of 12.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-compile verl==0.9.1 torch==2.11.0 tensordict==0.10.0 transformers==5.9.0 \
  accelerate==1.15.0 ray==2.60.0 numpy==2.4.6 transferqueue==0.1.11
cat >look.py <<'PY'
import sys

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage


def advantage(reward, size):
    rewards = torch.zeros(size, 4)
    rewards[:, -1] = reward
    advantages, _ = compute_grpo_outcome_advantage(rewards, torch.ones(size, 4), np.array(["prompt"] * size))
    return advantages[0, 0].item()


for size in [10, 12]:
    all_of_them = {tenth / 10: advantage(tenth / 10, size) for tenth in range(1, 21)}
    print({reward: round(value, 3) for reward, value in all_of_them.items()}, file=sys.stderr)
    print(f"groups of {size}: reward 0 {advantage(0.0, size)}, reward 1 {advantage(1.0, size)},", end=" ")
    print(f"largest of the twenty above 0.05: {max(map(abs, all_of_them.values())) > 0.05}")
PY
cat >expected <<'TEXT'
groups of 10: reward 0 0.0, reward 1 0.0, largest of the twenty above 0.05: True
groups of 12: reward 0 0.0, reward 1 0.0, largest of the twenty above 0.05: True
TEXT
venv/bin/python look.py | tee seen
diff expected seen
