#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building dblocks needs and nothing that is there already:
# Debian packages (dpkg-query is asked first) and LibTorch, taken from the
# pinned PyTorch wheel, in the private virtual environment .venv. A call that
# finds everything in place neither uses the network nor needs root.
#
# There is one environment, in two depths. Building and running on a CPU needs
# three wheels without their dependencies (1.3 GB on disk). CUDA, and the tests
# that import PyTorch to compare with it, need all dependencies; these are added
# to the same environment, so the largest wheel is never stored twice.
#
# Exit codes: 0 done, 2 packages are missing and this user may not install them,
# 1 anything else.
set -euo pipefail

readonly kTorch="2.11.0"
readonly kCudaRuntime="13.0.96"
readonly kCudaCupti="13.0.85"
readonly kTensorBoard="2.21.0"

readonly kBuildPackages=(
  g++ cmake ninja-build python3 python3-venv python3-pip git ca-certificates
  libcli11-dev nlohmann-json3-dev libfmt-dev libspdlog-dev libxxhash-dev
  libtomlplusplus-dev zlib1g-dev libjpeg62-turbo-dev libpng-dev libarchive-dev
  libcurl4-openssl-dev libssl-dev dataset-fashion-mnist)
readonly kTestPackages=(
  libgtest-dev libgmock-dev librapidcheck-dev clang clang-format clang-tidy
  libclang-rt-14-dev shellcheck strace chromium chromium-driver mandoc
  python3-xxhash zsh)
# Builds are faster with these and work without them.
readonly kOptionalPackages=(ccache mold)

usage() {
  cat <<'USAGE'
usage: tools/setup.sh [--cuda] [--tests]
  --cuda   also install the CUDA half of PyTorch
  --tests  also install what the tests need (a PyTorch that python can import)
USAGE
}

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# Prints those of its arguments that are not installed, one a line.
missing_packages() {
  local package status
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) ||
      status="absent"
    # A package installed for two architectures reports its status twice.
    [[ $status == installed* ]] || printf '%s\n' "$package"
  done
}

# Sets the global array `as_root` to the words in front of a command that needs
# root. Fails if this user cannot become root.
find_root() {
  as_root=()
  [[ $(id -u) -eq 0 ]] && return 0
  command -v sudo >/dev/null || return 1
  # Without a terminal sudo cannot ask for a password.
  sudo -n true 2>/dev/null || [[ -t 0 ]] || return 1
  as_root=(sudo)
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  # One unreachable source among several must not stop us: the installation
  # that follows says whether something is really missing.
  "${as_root[@]}" apt-get -q -o Acquire::Retries=3 update ||
    say "apt-get update failed; trying with the package lists as they are"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o Acquire::Retries=3 install -y --no-install-recommends "$@"
}

ensure_packages() {
  local required=("${kBuildPackages[@]}") missing=() optional=()
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: expecting the equivalents of ${required[*]}"
    return
  fi
  ((want_tests)) && required+=("${kTestPackages[@]}")
  mapfile -t missing < <(missing_packages "${required[@]}")
  mapfile -t optional < <(missing_packages "${kOptionalPackages[@]}")
  if ((${#missing[@]} + ${#optional[@]} == 0)); then
    say "Debian packages: all installed"
  elif find_root; then
    missing+=("${optional[@]}")
    say "Debian packages: installing ${missing[*]} (about 1 minute)"
    install_packages "${missing[@]}"
  elif ((${#missing[@]} == 0)); then
    say "Debian packages: all installed but ${optional[*]} (optional)"
  else
    say "Debian packages: ${#missing[@]} missing, and installing needs root." \
      "Run as root, then start again:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends" \
      "${missing[*]}" >&2
    exit 2
  fi
}

# The system's python3 comes first: a version manager's may vanish with an
# update and take the environment with it.
base_python() {
  local candidate
  for candidate in /usr/bin/python3 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
      2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "expected python3 3.10 or newer, found none"
}

# Holds for an environment that works and in which no installation broke off:
# pip writes INSTALLER after a package's own files.
venv_is_sound() {
  local info
  "$python" -I -c 'import sys, pip; sys.exit(sys.version_info < (3, 10))' \
    2>/dev/null || return 1
  for info in "$venv"/lib/python3*/site-packages/*.dist-info; do
    [[ ! -e $info || -f $info/INSTALLER ]] || return 1
  done
}

ensure_venv() {
  venv_is_sound && return
  if [[ -e $venv ]]; then
    say "LibTorch: .venv is incomplete, making it anew"
    rm -rf "$venv"
  fi
  local base
  base=$(base_python)
  "$base" -m venv "$venv"
}

has_wheel() {
  compgen -G "$venv/lib/python3*/site-packages/$1.dist-info/INSTALLER" \
    >/dev/null
}

has_cpu_torch() {
  has_wheel "torch-$kTorch" &&
    has_wheel "nvidia_cuda_runtime-$kCudaRuntime" &&
    has_wheel "nvidia_cuda_cupti-$kCudaCupti" && venv_is_sound
}

# Importing proves that every dependency is there. $1: names of modules.
has_full_torch() {
  has_wheel "torch-$kTorch" && venv_is_sound &&
    "$python" -I -c "import $1" 2>/dev/null
}

pip_install() {
  local try
  for try in 1 2 3; do
    "$python" -m pip --disable-pip-version-check --no-input \
      install --progress-bar off --retries 10 --timeout 60 "$@" && return
    say "pip failed (try $try of 3)"
    sleep $((try * 5))
  done
  fail "pip could not install $*. Hint: check the network and start again"
}

ensure_torch() {
  local wheels=("torch==$kTorch") modules="torch"
  if ((want_tests)); then
    wheels+=("numpy>=2,<3" "scipy>=1.14,<2" "tensorboard==$kTensorBoard")
    modules+=", numpy, scipy, tensorboard"
  fi
  if ((want_tests || want_cuda)); then
    if ! has_full_torch "$modules"; then
      say "LibTorch: PyTorch $kTorch with all dependencies into .venv" \
        "(4.7 GB on disk, about 2 minutes)"
      ensure_venv
      pip_install "${wheels[@]}"
    fi
  elif ! has_cpu_torch; then
    say "LibTorch: the CPU half of PyTorch $kTorch into .venv" \
      "(1.3 GB on disk, about 1 minute)"
    ensure_venv
    pip_install --no-deps "${wheels[@]}" \
      "nvidia-cuda-runtime==$kCudaRuntime" "nvidia-cuda-cupti==$kCudaCupti"
  fi
  say "LibTorch: PyTorch $kTorch in .venv"
}

want_cuda=0
want_tests=0
for argument in "$@"; do
  case $argument in
    --cuda) want_cuda=1 ;;
    --tests) want_tests=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly venv=$PWD/.venv python=$PWD/.venv/bin/python
ensure_packages
ensure_torch
