#!/bin/sh
# The array script of docs/other-engines.md with a comparison's flags, by Slurm: Debian's packages, unpacked into a folder
# `slurm` below this one, with one controller and one node without GPUs on this machine. Ends with 3 where there is no apt.
#
#     slurm.sh "deltal compare FLAGS" SHARDS    # shard i goes to runs/slurm-i
set -eu
compare=$1 shards=$2
docs=$(cd "$(dirname "$0")/../../docs" && pwd)/other-engines.md
command -v apt-get >/dev/null || exit 3
mkdir -p slurm/state slurm/spool
cd slurm
apt-get download -qq libhwloc15 liblua5.1-0 libmunge2 slurm-wlm-basic-plugins slurm-client slurmctld slurmd 2>/dev/null
for package in *.deb; do dpkg -x "$package" .; done
here=$(pwd)
lib=$(dirname "$(ls -d "$here"/usr/lib/*/slurm-wlm)")
host=$(hostname -s)
export LD_LIBRARY_PATH="$lib:$lib/slurm-wlm" SLURM_CONF="$here/slurm.conf"
cat >slurm.conf <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/none
CredType=cred/none
PluginDir=$lib/slurm-wlm
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=all Nodes=$host Default=YES
CONF
usr/sbin/slurmctld-wlm -D >slurmctld.log 2>&1 & daemons=$!
usr/sbin/slurmd-wlm -D -N "$host" -d "$here/usr/sbin/slurmstepd-wlm" >slurmd.log 2>&1 & daemons="$daemons $!"
trap 'kill $daemons; wait' EXIT
for _ in $(seq 60); do
  [ "$(usr/bin/sinfo -h -o %T 2>/dev/null)" = idle ] && break
  sleep 1
done
# The script as it stands, but for the command, the number of shards and the name of their folders.
awk '/^#!\/bin\/bash/ { on = 1 } /^```/ { on = 0 } on' "$docs" |
  sed "s|deno task compare|$compare|; s|/8\"|/$shards\"|; s|runs/shard-|runs/slurm-|" >array.sh
grep -q 'SBATCH --array' array.sh
cd ..
sbatch="$here/usr/bin/sbatch --array=1-$shards --gpus=0"
$sbatch --test-only slurm/array.sh
$sbatch --wait --output=slurm/task-%a.out slurm/array.sh || { cat slurm/task-*.out >&2 && exit 1; }
