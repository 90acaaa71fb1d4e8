#!/bin/sh
# A comparison in shards by two processes, by xargs -P, and by two workers of a Ray cluster: each merges to the bytes that
# one process makes. Outside CI; needs deno, and a python with ray as its argument (without one Ray is left out, by name).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
export DENO_WEBGPU_BACKEND=vulkan,metal,dx12 NO_COLOR=1 RAY_AUTH_MODE=disabled
compare="deno run -A --no-check --config $root/deno.json $root/src/cli/main.ts compare"
plan="--task=$root/tests/interop/ones_task.ts --methods=delta-l-1,grpo --seeds=1 --max-steps=3 --eval-prompts=2 --quiet"
$compare $plan --out=runs/one >/dev/null

same() {
  $compare --merge "runs/$1"-* --out="runs/$1" --quiet >/dev/null
  for file in compare.json compare.md report.html plan.json; do
    cmp "runs/one/$file" "runs/$1/$file"
  done
  echo "sweep by $1: the same tables and report as one process"
}

for i in 1 2; do $compare $plan --shard $i/2 --out=runs/processes-$i >/dev/null & pids="${pids:-} $!"; done
for pid in $pids; do wait "$pid"; done
same processes

seq 3 | xargs -P 2 -I{} $compare $plan --shard {}/3 --out=runs/xargs-{} >/dev/null
same xargs

if [ -z "$python" ]; then
  echo "sweep by ray: skipped, give a python with ray"
  exit
fi
COMPARE="$compare $plan" "$python" - <<'PY'
import os, subprocess
import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
here = os.getcwd()

@ray.remote(num_cpus=1)
def shard(i, n):
    command = f"{os.environ['COMPARE']} --shard {i}/{n} --out=runs/ray-{i}"
    subprocess.run(command.split(), cwd=here, check=True, stdout=subprocess.DEVNULL)
    return ray.get_runtime_context().get_worker_id()

workers = ray.get([shard.remote(i + 1, 2) for i in range(2)])
assert len(set(workers)) == 2, workers
PY
same ray
