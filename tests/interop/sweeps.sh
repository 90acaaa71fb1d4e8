#!/bin/sh
# A comparison in shards by two processes, by xargs -P, by a Slurm array and by two workers of a Ray cluster: each merges to
# the bytes that one process makes. Outside CI; needs deno, apt-get for Slurm, and a python with ray as its argument (without
# those Slurm and Ray are left out, by name).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
export DENO_WEBGPU_BACKEND=vulkan,metal,dx12 NO_COLOR=1
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

if sh "$here/slurm.sh" "$compare ${plan% --quiet}" 2; then # the script has its own --quiet
  same slurm
elif [ $? -eq 3 ]; then
  echo "sweep by slurm: skipped, no apt-get for Debian's packages"
else
  exit 1
fi

if [ -z "$python" ]; then
  echo "sweep by ray: skipped, give a python with ray"
  exit
fi
# Fixed ports and long waits: on a busy machine the parts of Ray start slowly.
export RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 RAY_agent_register_timeout_ms=900000
export RAY_DASHBOARD_STARTUP_TIMEOUT_S=600 RAY_gcs_server_port_wait_time_s=600
COMPARE="$compare $plan" "$python" - <<'PY'
import os, subprocess, sys, time
import ray

ports = "port dashboard-agent-grpc-port dashboard-agent-listen-port metrics-export-port runtime-env-agent-port".split()
flags = [f"--{name}={26379 + i}" for i, name in enumerate(ports)]
here = os.getcwd()
start = f"-m ray.scripts.scripts start --head --block --num-cpus=2 --temp-dir={here}/ray"
start += " --include-dashboard=false --object-store-memory=80000000"
cluster = subprocess.Popen([sys.executable, *start.split(), *flags], stdout=subprocess.DEVNULL)

@ray.remote(num_cpus=1)
def shard(i, n):
    command = f"{os.environ['COMPARE']} --shard {i}/{n} --out=runs/ray-{i}"
    subprocess.run(command.split(), cwd=here, check=True, stdout=subprocess.DEVNULL)
    return ray.get_runtime_context().get_worker_id()

try:
    while not ray.is_initialized():
        try:
            ray.init(address="127.0.0.1:26379", log_to_driver=False)
        except ConnectionError:
            assert cluster.poll() is None, "Ray did not start"
            time.sleep(1)
    workers = ray.get([shard.remote(i + 1, 2) for i in range(2)])
    assert len(set(workers)) == 2, workers
finally:
    ray.shutdown()
    cluster.terminate()
    cluster.wait()
PY
same ray
