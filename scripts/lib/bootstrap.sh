# shellcheck shell=bash
# What quickstart and test share: look at the machine, install what is missing, show progress.
# The caller has set -euo pipefail and is in the repository's root.

NEEDS_PYTHON="3, 11"
CACHE=${ORCHESTRATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orchestrator}
VENV=$PWD/.venv
LOCK=${FOR_TESTS:+requirements-dev.lock}
LOCK=${LOCK:-requirements.lock}
DRY_RUN=${DRY_RUN:-}
PATH_BEFORE=$PATH
SECONDS=0

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }

# --- steps: each runs in the background, in its own session, with its own log -------------------

declare -A STEP_PID=() STEP_BEGAN=()

logs_folder() {
  LOGS=$CACHE/logs
  mkdir -p "$LOGS"
}

begin() { # begin NAME COMMAND...
  local name=$1
  shift
  say "$name …"
  setsid "$@" > "$LOGS/${name// /-}.log" 2>&1 < /dev/null &
  STEP_PID[$name]=$! STEP_BEGAN[$name]=$SECONDS
}

finish() { # wait for every step that was begun; the first that fails ends the script
  local name shown=$SECONDS rc
  while [ ${#STEP_PID[@]} -gt 0 ]; do
    for name in "${!STEP_PID[@]}"; do
      kill -0 "${STEP_PID[$name]}" 2> /dev/null && continue
      rc=0
      wait "${STEP_PID[$name]}" || rc=$?
      unset "STEP_PID[$name]"
      [ -t 1 ] && printf '\r\033[K'
      [ "$rc" = 0 ] || step_failed "$name" "$rc"
      say "$name: done in $((SECONDS - STEP_BEGAN[$name])) s"
    done
    if [ ${#STEP_PID[@]} = 0 ]; then
      break
    elif [ -t 1 ] && [ "$shown" != "$SECONDS" ]; then
      shown=$SECONDS
      printf '\r\033[K[%3d s] %s' "$SECONDS" "$(running_steps)"
    elif [ ! -t 1 ] && [ $((SECONDS - shown)) -ge 10 ]; then
      shown=$SECONDS
      say "still at: $(running_steps)"
    fi
    sleep 0.1
  done
}

running_steps() {
  local text
  text=$(printf '%s, ' "${!STEP_PID[@]}")
  echo "${text%, }"
}

step() {
  begin "$@"
  finish
}

step_failed() { # NAME EXIT-CODE
  local log="$LOGS/${1// /-}.log"
  {
    say "$1: failed (exit $2). The end of $log:"
    tail -n 20 "$log" | sed 's/^/    /'
  } >&2
  exit 1
}

end_steps() { # leave no step behind, whatever ends the script
  local pid
  for pid in "${STEP_PID[@]}"; do
    kill -TERM -- "-$pid" 2> /dev/null || true
  done
}
trap end_steps EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- the machine --------------------------------------------------------------------------------

on_debian() {
  # shellcheck disable=SC1091
  [ -r /etc/os-release ] && (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-0}" -ge 12 ])
}

# shellcheck source=scripts/lib/python.sh
. scripts/lib/python.sh
clean_environment

missing_python() { complete_python > /dev/null || printf '%s\n' python3 python3-venv; }

have() { command -v "$1" > /dev/null || echo "$2"; }

missing_for_unit_tests() {
  missing_python
  have git git
  have ssh openssh-client
  have age age
  have busybox busybox
  have vim vim
}

missing_packages() {
  have ip iproute2
  have mmdebstrap mmdebstrap
  have patchelf patchelf
  # What sees which files an evaluation reads: either of the two. The tests try both.
  if [ -n "${FOR_TESTS:-}" ]; then
    missing_for_unit_tests
    have gcc gcc
    [ -e /usr/include/dlfcn.h ] || echo libc6-dev
    have strace strace
    have zstd zstd
    return
  fi
  missing_python
  have git git
  have ssh openssh-client
  command -v cc gcc clang > /dev/null || echo strace
}

python_key() { # python_key LOCK: programs in an environment name the folder that it was made in
  { echo "$VENV" && cat "$1" pyproject.toml scripts/lib/python-install scripts/lib/lock_install.py; } |
    sha256sum | cut -d ' ' -f 1
}

python_ready() { # what is made for the tests serves quickstart as well
  local key
  "$VENV/bin/python" -c '' 2> /dev/null && key=$(cat "$VENV/.key" 2> /dev/null) || return 1
  [ "$key" = "$(python_key "$LOCK")" ] || [ "$key" = "$(python_key requirements-dev.lock)" ]
}

check_machine() { # check_machine WHAT-IT-WOULD-DO
  local problem=()
  [ "$(uname -s)" = Linux ] && on_debian || problem+=("Debian 12 or later (this is another system)")
  [ "$(id -u)" = 0 ] || problem+=("root (this is $(id -un)), to make namespaces and mounts")
  if [ ${#problem[@]} -gt 0 ]; then
    printf '%s needs:\n' "$0"
    printf '  - %s\n' "${problem[@]}"
    would "$1"
    echo "Nothing was done. Where there is a Nix ≥ 2.18 and a Python ≥ 3.11, the tool itself works without this:"
    echo "  python3 -m venv .venv"
    echo "  .venv/bin/pip install --no-deps --require-hashes --only-binary=:all: -r requirements.lock"
    echo "  .venv/bin/pip install --no-deps --no-build-isolation -e ."
    echo "  .venv/bin/pip check"
    exit 2
  fi >&2
  if [ -n "$DRY_RUN" ]; then
    would "$1"
    exit 0
  fi
}

would() { # say what would be done
  local packages=""
  echo "It would:"
  if command -v apt-get > /dev/null; then packages=$(missing_packages | xargs); fi
  [ -z "$packages" ] || echo "  - install with apt: $packages"
  python_ready || echo "  - install the Python packages of $LOCK into .venv"
  if ! any_python > /dev/null || [ ! -d "$(image_path)" ]; then
    echo "  - make the lab's base image and a modern Nix in $CACHE (about 250 MB)"
  fi
  printf '%s\n' "$1"
}

# --- installing ---------------------------------------------------------------------------------

install_packages() { # install_packages PACKAGE...
  [ $# = 0 ] || step "Debian packages" scripts/lib/apt-install "$@"
}

begin_python() {
  begin "Python packages" \
    scripts/lib/python-install "$(complete_python)" "$VENV" "$(python_key "$LOCK")" "$LOCK"
}

install_rest() { # the Python environment and the lab's base image, at the same time
  python_ready || begin_python
  [ -d "$(image_path)" ] || begin "base image and Nix" "$(any_python)" -I -B -u -c "${IMAGE}image.ensure(print)"
  finish
}

link_commands() { # so that "just" and "orchestrator" work in the person's shell
  local name target linked=()
  for name in just orchestrator; do
    target=/usr/local/bin/$name
    PATH=$PATH_BEFORE command -v "$name" > /dev/null && continue
    # Nothing is there, or a link of ours to a checkout that is gone.
    [ -d "${target%/*}" ] && { [ -L "$target" ] || [ ! -e "$target" ]; } || continue
    ln -sfn "$VENV/bin/$name" "$target" && linked+=("$target")
  done
  [ ${#linked[@]} = 0 ] || say "linked ${linked[*]} to $VENV/bin"
}

bootstrap_unit() { # all that checks without lab hosts need, on any machine and as any user
  local packages=""
  if on_debian && [ "$(id -u)" = 0 ]; then
    packages=$(missing_for_unit_tests | xargs)
  elif ! complete_python > /dev/null; then
    echo "$0 needs a Python ≥ 3.11 with its modules $COMPLETE."
    echo "Nothing was done. On Debian, as root: apt-get install python3 python3-venv"
    exit 2
  fi >&2
  if [ -n "$DRY_RUN" ]; then
    [ -z "$packages" ] || echo "It would: install with apt: $packages"
    python_ready || echo "It would: install the Python packages of $LOCK into .venv"
    exit 0
  fi
  logs_folder
  # shellcheck disable=SC2086
  install_packages $packages
  python_ready || { begin_python && finish; }
  export PATH=$VENV/bin:$PATH
}

bootstrap() { # bootstrap WHAT-IT-WOULD-DO
  check_machine "$1"
  logs_folder
  # shellcheck disable=SC2046
  install_packages $(missing_packages)
  install_rest
  export PATH=$VENV/bin:$PATH
}
