#!/bin/sh
# What other engines make of deltal's exports, for real: TRL on one and two processes, verl's own code, sweeps by Slurm and
# Ray, and the learning curves of deltal and TRL side by side. Prints a table; ends with 1 if anything differs. Outside CI: installs
# some GiB into a temporary folder. Needs deno and python3 with venv.
#
#     sh tests/interop/run.sh [python of an environment with requirements.txt]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
python=${1:-}
if [ -z "$python" ]; then
  python3 -m venv "$temp/venv"
  python="$temp/venv/bin/python"
  "$python" -m pip install -q -r "$here/requirements.txt"
fi
bin=$(dirname "$python")
export PATH="$bin:$PATH" OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=1
export DENO_WEBGPU_BACKEND=vulkan,metal,dx12 NO_COLOR=1
deltal="deno run -A --no-check --config $root/deno.json $root/src/cli/main.ts"
cd "$temp"
failures=0
check() {
  name=$1
  shift
  if "$@" >out.txt 2>err.txt; then verdict=same; else verdict=DIFFERS failures=$((failures + 1)); fi
  grep -E '^(trl|verl|curve|sweep|    weights)' out.txt || true
  [ "$verdict" = same ] || tail -20 err.txt
  echo "$verdict  $name" >>table.txt
}

$deltal warm-start --task parity >/dev/null
warm=$(echo runs/warm-start/*)
deno run -A --no-check --config "$root/deno.json" "$here/first_step.ts" "$warm" steps
# accelerate's --cpu starts one process only.
two="accelerate launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
for task in parity digits; do
  check "TRL, first steps of $task, 1 process" python "$here/trl_step.py" "steps/$task"
  check "TRL, first steps of $task, 2 processes" $two "$here/trl_step.py" "steps/$task"
done
check "verl, settings, reward, prompts and first steps" python "$here/verl_check.py" steps/digits
check "learning curves of parity, deltal and TRL" sh "$here/curve.sh" "$deltal" "$warm" "$here"
check "sweeps in shards" sh "$here/sweeps.sh" "$python"
echo
cat table.txt
[ "$failures" -eq 0 ]
