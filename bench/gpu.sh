#!/bin/sh
# Measures deltal on this machine's GPU: correctness first, then kernels, steps, rollouts, and where Python has PyTorch
# with CUDA the same by cuBLAS and by an eager and a compiled PyTorch. One call, at most ten minutes, no network.
#
#   sh bench/gpu.sh            tables on the terminal, everything as JSON in runs/bench/
#   sh bench/gpu.sh --quick    tiny sizes, also on a software adapter: only whether it runs
#
# DENO and PYTHON name the programs to use (default: deno, python3).
set -u

cd "$(dirname "$0")/.." || exit 1
deno=${DENO:-deno}
quick=
[ "${1:-}" = --quick ] && quick=--quick
out=runs/bench/gpu-$(date -u +%Y-%m-%dT%H-%M-%S)
mkdir -p runs/bench
export DENO_WEBGPU_BACKEND=vulkan DENO_NO_UPDATE_CHECK=1

say() { printf '\n# %s\n' "$*"; }

command -v "$deno" >/dev/null 2>&1 || {
  echo "gpu.sh: no Deno: run 'sh setup.sh', or set DENO to its path" >&2
  exit 1
}

# A container may have NVIDIA's driver and still lack the file that tells Vulkan of it.
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && command -v nvidia-smi >/dev/null 2>&1; then
  found=
  for dir in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
    for file in "$dir"/nvidia*.json; do [ -e "$file" ] && found=$file; done
  done
  if [ -z "$found" ]; then
    for library in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
      if ldconfig -p 2>/dev/null | grep -q "$library"; then found=$library; break; fi
    done
    if [ -n "$found" ]; then
      printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}\n' \
        "$found" >runs/bench/nvidia_icd.json
      VK_DRIVER_FILES=$PWD/runs/bench/nvidia_icd.json
      VK_ICD_FILENAMES=$VK_DRIVER_FILES
      export VK_DRIVER_FILES VK_ICD_FILENAMES
      say "no Vulkan file for NVIDIA's driver was found, using one that names $found"
    else
      say "nvidia-smi works, but there is no Vulkan driver of NVIDIA's: in a container set" \
        "NVIDIA_DRIVER_CAPABILITIES=all"
    fi
  fi
fi

say "machine"
uname -srm
grep -m1 'model name' /proc/cpuinfo 2>/dev/null
command -v nvidia-smi >/dev/null 2>&1 &&
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
"$deno" eval --no-check --ext=ts '
const { openGpu } = await import(`file://${Deno.cwd()}/src/gpu/device.ts`);
const gpu = await openGpu();
console.log(JSON.stringify(gpu.adapter));
const software = gpu.adapter.isFallback;
await gpu.close();
Deno.exit(software ? 3 : 0);
'
case $? in
0) ;;
3)
  [ -n "$quick" ] || {
    echo "gpu.sh: this is a software adapter, nothing to learn here: try --quick" >&2
    exit 1
  }
  ;;
*)
  echo "gpu.sh: no device; is there a Vulkan driver (vulkaninfo --summary)?" >&2
  exit 1
  ;;
esac

# Oracle: the policy against PyTorch's stored figures. Determinism: the same bytes twice, resumed or not. Then every
# kernel against float64.
say "correctness"
if [ -n "$quick" ]; then
  tests="tests/ops/rms_norm_test.ts tests/gpu/profile_test.ts"
else
  tests="tests/model/policy_test.ts tests/model/generate_test.ts tests/rl/policy_gradient_test.ts
    tests/rl/trainer_test.ts tests/gpu tests/ops"
fi
# shellcheck disable=SC2086
timeout 170 "$deno" test --no-check --quiet --allow-read --allow-write --allow-run --allow-env --allow-sys \
  $tests >"$out-tests.txt" 2>&1
correct=$?
grep -aE 'FAILED|=> |passed|failed' "$out-tests.txt" | tail -25
[ $correct = 0 ] || say "THE TESTS FAILED (exit $correct): the figures below may be those of wrong results; see $out-tests.txt"

say "measurements"
# shellcheck disable=SC2086
timeout 420 "$deno" run --no-check --allow-read --allow-write --allow-run --allow-env --allow-sys \
  bench/main.ts --kernels --steps --profile --rlvr --peers --offline $quick --out "$out.json" 2>"$out-errors.txt"
measured=$?
[ $measured = 0 ] || {
  say "the measurement ended early (exit $measured); what was measured until then is in $out.json"
  tail -5 "$out-errors.txt"
}
say "tests: $([ $correct = 0 ] && echo passed || echo FAILED); figures: $out.json"
[ $correct = 0 ] && [ $measured = 0 ]
