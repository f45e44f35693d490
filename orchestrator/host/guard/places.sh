# The guard of a host. It changes the host to a system, and takes it back to what the host was unless
# the deployer comes over a new connection, and says in time that all is well.
#
#   run, boot     be the guard: the units' own
#   start TOKEN LINE…  |  await TOKEN STATES SECONDS POSITION  |  contact TOKEN
#   confirm TOKEN SECONDS POSITION  |  back TOKEN WHY  |  resume TOKEN  |  seen TOKEN  |  reached TOKEN  |  pass_on TOKEN      the deployer's
#
# POSIX shell, coreutils, util-linux, awk, sed, systemd and Nix. Data are arguments and `key=value` lines;
# nothing of them is ever evaluated.
set -u

run=/run/orchestrator
lib=/var/lib/orchestrator
newer=$run/attempt
kept=$lib/attempt
record=$lib/record
log=$run/log
roots=/nix/var/nix/gcroots/orchestrator
copied=/nix/var/nix/gcroots/orchestrator-copied
system_profile=/nix/var/nix/profiles/system
control=/etc/systemd/system.control
boot_unit=orchestrator-guard-resume.service

# At boot a unit's path may have little.
PATH=$PATH:/run/wrappers/bin:/run/current-system/sw/bin
export PATH

# Seconds since the boot, into $now: no clock that jumps moves it.
clock() { IFS='. ' read -r now _ < /proc/uptime; }

# The same in hundredths, as the kernel has the start of a process, into $hundredths.
uptime_in_hundredths() {
  IFS='. ' read -r hundredths fraction _ < /proc/uptime
  hundredths=$hundredths$fraction
}

# Replace a file by standard input, whole or not at all. $1 file
put() {
  { cat && sync "$1.new"; } > "$1.new" && mv -f "$1.new" "$1" && return
  rm -f "$1.new"
  return 1
}

# Be the only one who changes the attempt, until this shell ends. $… options of flock
alone() {
  mkdir -p -m 0700 "$run"
  exec 9> "$run/guard.lock"
  flock "$@" 9
}

# To the journal, where this is the unit: a journal that hangs must not. $1 priority  $2 words
say() { timeout 5 printf '<%s>%s\n' "$1" "$2" || :; }
