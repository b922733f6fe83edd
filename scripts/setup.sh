#!/usr/bin/env bash
# Prepare .venv for one use: demo (no Qt), gui (napari with Qt) or dev (tests and checks).
# Quick when nothing changed since the last time. Settings, all optional:
#   PYTHON=python3.12    the interpreter to build .venv with
#   TORCH_INDEX=URL      where torch comes from (the default is PyTorch's index of CPU builds)
#   SKIP_SYSTEM=1        do not look for system libraries
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$(pwd -P)
use=${1:-demo}

say() { printf 'set-up: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

case $use in
  demo) target=. ;;
  gui) target='.[all]' ;;
  dev) target='.[all,dev]' ;;
  *) die "use must be demo, gui or dev, got $use" ;;
esac

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local name
  for name in ${PYTHON:-python3.11 python3}; do
    if new_enough "$name"; then
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  die "no Python >= 3.11 among '${PYTHON:-python3.11 python3}'; install one" \
    "(apt-get install python3.11 python3.11-venv) or name one: make demo PYTHON=/path/to/python3"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

can_apt() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }

apt_install() {
  local ask="apt-get install --no-install-recommends $*"
  can_apt || die "system packages are missing and need root; run: sudo $ask" \
    "(SKIP_SYSTEM=1 goes on without Qt's libraries)"
  say "installing system packages: $*"
  as_root apt-get update -qq >&2 || say "apt-get update failed; trying with the lists at hand"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    "$@" >&2 || die "apt-get failed; run it by hand: $ask"
}

# What Qt's X11 plugin and OpenGL load, and for tests a display without a screen.
qt_packages=(libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libdbus-1-3 libxcb-icccm4
  libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-xinerama0
  libxcb-xfixes0 libxcb-shape0 libxcb-cursor0 libxcb-util1 libfontconfig1 libglib2.0-0)
display_packages=(xvfb xauth)

system_libraries() {
  local wanted=("${qt_packages[@]}") missing=() installed package
  [ "$use" = dev ] && wanted+=("${display_packages[@]}")
  if ! command -v dpkg-query >/dev/null; then
    [ "$use" != dev ] || command -v xvfb-run >/dev/null ||
      die "xvfb-run is missing; install your distribution's Xvfb and what Debian calls ${wanted[*]}"
    return 0
  fi
  # Ubuntu 24.04 gave some packages the ending t64; dpkg-query fails for names it never saw.
  installed=$(dpkg-query -W -f '${db:Status-Status}:${Package}\n' \
    "${wanted[@]}" "${wanted[@]/%/t64}" 2>/dev/null) || true
  for package in "${wanted[@]}"; do
    grep -qxE "installed:${package//./\\.}(t64)?" <<<"$installed" || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

make_venv() {
  # Scripts in .venv/bin name this folder, so a copied or moved .venv is of no use.
  if new_enough .venv/bin/python && grep -qsF "$here/.venv/bin/python" .venv/bin/pip; then return; fi
  local python
  python=$(find_python)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  fi
  say "creating .venv with $python"
  rm -rf .venv
  "$python" -m venv .venv
}

pip_install() {
  PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet -c constraints.txt "$@" >&2
}

# On Linux, PyPI's torch brings gigabytes of CUDA; PyTorch's own index has the CPU build.
install_torch() {
  [ "$(uname -s)" = Linux ] || return 0
  if [ -n "${TORCH_INDEX:-}" ]; then
    pip_install --no-deps --force-reinstall --index-url "$TORCH_INDEX" torch ||
      die "no torch from TORCH_INDEX=$TORCH_INDEX; check the address"
    return
  fi
  local index=https://download.pytorch.org/whl/cpu
  pip_install --no-deps --retries 2 --timeout 60 --index-url "$index" torch ||
    say "no torch from $index; taking it from pip's usual index instead"
}

if [ "$use" != demo ] && [ "$(uname -s)" = Linux ] && [ -z "${SKIP_SYSTEM:-}" ]; then
  system_libraries
fi

state=$({ cat pyproject.toml constraints.txt scripts/setup.sh; echo "${TORCH_INDEX:-}"; } | cksum)
make_venv
stamp=.venv/.setup-$use
if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then exit 0; fi
say "installing $target into .venv (some minutes the first time)"
install_torch
pip_install --editable "$target"
# A larger set-up serves the smaller ones too.
case $use in
  dev) also=".venv/.setup-gui .venv/.setup-demo" ;;
  gui) also=.venv/.setup-demo ;;
  *) also= ;;
esac
for file in $stamp $also; do echo "$state" >"$file"; done
say "ready"
