# shellcheck shell=bash
# Which Python makes the environment, and which of a shell's settings it must not see.

clean_environment() { # what another Python, a conda or an active environment left in this shell
  local name
  for name in ${!PYTHON@} VIRTUAL_ENV VIRTUAL_ENV_PROMPT __PYVENV_LAUNCHER__ ${!CONDA_@}; do
    unset "$name"
  done
}

python_candidates() { # Debian's own first: what it lacks can be installed
  if on_debian; then echo /usr/bin/python3; fi
  type -ap python3 python3.14 python3.13 python3.12 python3.11 || true
  echo /usr/bin/python3
}

base_python() { # base_python CANDIDATE MODULES: the real program, behind shims and environments
  "$1" -I -c "import sys; sys.version_info >= ($NEEDS_PYTHON) or sys.exit(1)
import $2; print(sys._base_executable)" 2> /dev/null < /dev/null
}

find_python() { # the first that is new enough and has MODULES; fails where there is none
  local candidate
  while read -r candidate; do
    base_python "$candidate" "$1" && return
  done < <(python_candidates)
  return 1
}

# A Python that was built without a library, as pyenv's may be, lacks the module.
COMPLETE="ensurepip, venv, bz2, ctypes, lzma, sqlite3, ssl, zlib"
complete_python() { find_python "$COMPLETE"; }
any_python() { find_python sys; }

# Code that runs before there is an environment: it imports this checkout, and else the library only.
IMAGE="import sys; sys.path.insert(0, '.'); from orchestrator.lab import image; "
image_path() { "$(any_python)" -I -B -c "${IMAGE}print(image.Image.wanted().path)"; }
