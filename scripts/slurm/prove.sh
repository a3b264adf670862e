#!/usr/bin/env bash
# Proves scripts/slurm/suite.sbatch on a real Slurm: one controller and two node daemons on this machine, one of which
# is killed with all that it runs while it is in the middle of a cell, and a task whose time is up.
#
#     cargo build --release --workspace && target/release/ptune fetch bert-tiny
#     sudo scripts/slurm/prove.sh target/release/ptune
#
# Needs root and Debian's packages slurm-wlm and munge (apt-get install slurm-wlm munge). Nothing is left behind. It
# ends with "proven" if every cell was run to its end once, and the tables are those of a suite that nothing
# disturbed.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,/^set/p' "$0" | sed '$d;s/^# \{0,1\}//' >&2; exit 2; }
ptune=$(readlink -f "$1")
repository=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
chmod 755 "$work"
host=$(hostname -s)
export SLURM_CONF="$work/slurm.conf"
export PTUNE="$ptune"

finish() {
    local status=$?
    [ "$status" = 0 ] || tail -n 20 "$work"/*.log "$work"/ptune-suite-*.log 2>/dev/null || true
    for file in "$work"/*.pid; do
        [ -f "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null || true
    done
    pkill -9 -f "$work" 2>/dev/null || true
    pkill -9 -f "suite shared.toml" 2>/dev/null || true
    sleep 0.5
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT

# until_true SECONDS COMMAND…: waits until the command succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { echo "waited in vain for: $*" >&2; return 1; }
        sleep 0.2
    done
}

# A Slurm of its own: keys, sockets, ports, state, all below $work.
mkdir -m 700 "$work/munge" "$work/state" "$work/node1" "$work/node2"
head -c 1024 /dev/urandom >"$work/munge/key"
chmod 400 "$work/munge/key"
munged --force --key-file="$work/munge/key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge/seed" 2>/dev/null
cat >"$SLURM_CONF" <<EOF
ClusterName=proof
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=17017
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
StateSaveLocation=$work/state
SlurmctldPidFile=$work/slurmctld.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdSpoolDir=$work/%n
SlurmdPidFile=$work/slurmd-%n.pid
SlurmdLogFile=$work/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/linear
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
BatchStartTimeout=10
MessageTimeout=5
KillWait=5
CompleteWait=0
JobRequeue=1
MpiDefault=none
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17018 CPUs=1 State=UNKNOWN
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17019 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
EOF
slurmctld -i
slurmd -N node1
slurmd -N node2
until_true 60 sh -c 'sinfo -h -o "%D %t" | grep -q "^2 idle"'
echo "two nodes are up"

# Eight cells of some seconds each.
cat >"$work/suite.toml" <<EOF
name = "proof"
base = "$repository/configs/lama-bert.toml"
suites = "SUITES"
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
random_weights = false
set = { train.epochs = 25, train.save_every = 5 }

[[tasks]]
name = "P36"
set = { data.path = "$repository/datasets/lama/P36", data.limit = 80 }
EOF
cd "$work"
sed "s|SUITES|$work/alone|" suite.toml >alone.toml
sed "s|SUITES|$work/shared|" suite.toml >shared.toml
"$ptune" suite alone.toml --quiet >alone.txt
echo "undisturbed: $(sed -n 3p alone.txt)"

array=$(sbatch --parsable --array=1-2 "$repository/scripts/slurm/suite.sbatch" shared.toml)
# Of this Slurm's tasks: which runs on a node, how many cells are done.
on() { squeue -h -j "$array" -w "$1" -t R -o %F_%K; }
done_cells() { find shared -name evaluation.json | wc -l; }
both_in_a_cell() {
    [ -n "$(on node1)" ] && [ -n "$(on node2)" ] && [ "$(find shared -name last.safetensors | wc -l)" -ge 2 ]
}
until_true 120 both_in_a_cell

# A task is told to stop, as it is a minute before its time is up: it saves and queues itself again.
stopped=$(on node1)
scancel --signal=INT --batch "$stopped"
until_true 60 sh -c "squeue -h -j $stopped -t PD | grep -q ."
echo "task $stopped was stopped, saved and queued itself again"

# The other's node dies: its daemon and all that it runs, with no word to the controller.
killed=$(on node2)
# The step's daemon goes before what it watches, so that nobody can tell the controller how it ended.
watchers=() watched=()
for pid in $(pgrep -f slurm_script || true) $(pgrep -f "suite shared.toml" || true); do
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "SLURMD_NODENAME=node2"; then
        parent=$(awk '/^PPid/{print $2}' "/proc/$pid/status")
        grep -q slurmstepd "/proc/$parent/comm" && watchers+=("$parent")
        watched+=("$pid")
    fi
done
kill -9 "$(cat slurmd-node2.pid)" "${watchers[@]}" "${watched[@]}"
before=$(done_cells)
[ "$before" -lt 8 ] || { echo "all cells were done before the node died: nothing is proven" >&2; exit 1; }
echo "node2 died in the midst of task $killed, with $before of 8 cells done"
until_true 60 sh -c 'sinfo -h -n node2 -o %t | grep -q "^down"'
until_true 60 sh -c "squeue -h -j $killed -t PD | grep -q ."
slurmd -N node2
until_true 60 sh -c 'sinfo -h -n node2 -o %t | grep -Eq "^(idle|alloc|mix)"'
echo "node2 is back, and Slurm has queued task $killed again"

# Slurm lets what it has queued again wait for two minutes.
for task in "$stopped" "$killed"; do scontrol update JobId="$task" StartTime=now; done
until_true 600 sh -c "! squeue -h -j $array | grep -q ."
for log in ptune-suite-*.log; do
    echo "$log: $(grep -c '^cell [0-9/]* [^:]*$' "$log" || true) cells begun, $(grep -c ': test ' "$log" || true) done"
done
"$ptune" suite shared.toml --quiet >shared.txt
cmp alone.txt shared.txt
twice=$(cat ptune-suite-*.log | grep -o '^cell [0-9/]* [^ ]*: test ' | sort | uniq -d)
[ -z "$twice" ] || { echo "run twice: $twice" >&2; exit 1; }
echo "proven: 8 cells, a task stopped, a node killed; each cell done once, the tables those of an undisturbed suite"
