#!/bin/sh
# Installs what deltal needs and this machine lacks: Deno, and on Linux a Vulkan driver when no GPU
# answers (Mesa's software one). What is there already is left alone, so running it twice is safe.
#
#   sh setup.sh && deno task test
set -eu

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo; then
    say "as root, through sudo: $*"
    sudo "$@"
  else
    fail "this needs root and there is no sudo: run '$*' as root, then setup.sh again"
  fi
}

on_path() { case ":$PATH:" in *":$1:"*) ;; *) return 1 ;; esac }

# Whether a folder, or the nearest one above it that exists, can be written.
writable() {
  nearest=$1
  while [ ! -e "$nearest" ]; do nearest=$(dirname "$nearest"); done
  [ -w "$nearest" ]
}

# Links a deno that is not on PATH into a folder that is.
link_deno() {
  for dir in "$HOME/.local/bin" "$HOME/bin" /usr/local/bin; do
    if on_path "$dir" && writable "$dir"; then
      say "linking $dir/deno to $1"
      mkdir -p "$dir" && ln -sf "$1" "$dir/deno"
      return
    fi
  done
  fail "Deno is now in $(dirname "$1"), which is not on PATH: run 'export PATH=\"$(dirname "$1"):\$PATH\"', then setup.sh again"
}

install_deno_with_npm() {
  prefix=$(npm prefix -g 2>/dev/null)
  set -- npm install -g --loglevel=error deno
  say "Deno is missing, installing it: $*"
  if writable "$prefix/lib/node_modules" && writable "$prefix/bin"; then
    "$@" </dev/null || return 1
  elif has sudo; then
    as_root "$@" </dev/null || return 1
  else
    prefix=$HOME/.local
    say "npm's own folder cannot be written, using $prefix"
    "$@" --prefix "$prefix" </dev/null || return 1
  fi
  has deno || link_deno "$prefix/bin/deno"
}

install_deno_with_installer() {
  say "Deno is missing and so is npm, installing it with https://deno.land/install.sh"
  installer=$(mktemp)
  if curl -fsSL https://deno.land/install.sh -o "$installer" &&
    sh "$installer" -y --no-modify-path </dev/null; then
    rm -f "$installer"
  else
    rm -f "$installer"
    return 1
  fi
  has deno || link_deno "${DENO_INSTALL:-$HOME/.deno}/bin/deno"
}

install_deno() {
  if has npm; then
    install_deno_with_npm || fail "npm could not install Deno (its message is above)"
  elif has curl; then
    install_deno_with_installer || fail "Deno's installer did not finish (its message is above)"
  else
    fail "Deno is missing, and neither npm nor curl is here to get it: see https://docs.deno.com/runtime/getting_started/installation/"
  fi
}

# Kernels are imported as text, which older versions refuse or publish wrongly.
check_deno_version() {
  version=$(deno --version 2>/dev/null | sed -n 's/^deno \([0-9][0-9.]*\).*/\1/p')
  [ -n "$version" ] || fail "$(command -v deno) does not run: 'deno --version' says nothing"
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 9 ]; }; then
    fail "Deno $version at $(command -v deno) is older than 2.9: run 'deno upgrade', then setup.sh again"
  fi
}

# Prints the name of the WebGPU adapter; fails when there is none. Asking says more than looking for
# driver files, which may belong to hardware that this machine does not have.
adapter() {
  DENO_WEBGPU_BACKEND=vulkan,metal,dx12 deno eval --no-config '
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) Deno.exit(1);
    console.log(adapter.info.description || adapter.info.vendor || "unnamed");
  ' 2>/dev/null
}

install_vulkan_driver() {
  say "no GPU answers, installing Mesa's software Vulkan driver"
  if has apt-get; then
    as_root apt-get update -qq || say "apt-get update reported errors, going on with the lists there are"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      mesa-vulkan-drivers libvulkan1 >/dev/null
  elif has dnf; then
    as_root dnf install -y -q mesa-vulkan-drivers vulkan-loader
  elif has pacman; then
    as_root pacman -S --needed --noconfirm vulkan-swrast vulkan-icd-loader
  else
    fail "no apt-get, dnf or pacman here: install a Vulkan driver (Mesa's lavapipe works without a GPU), then run setup.sh again"
  fi
}

has deno || install_deno
check_deno_version
say "Deno $version: $(command -v deno)"

if ! name=$(adapter); then
  [ "$(uname -s)" = Linux ] || fail "no WebGPU adapter: update the graphics driver of this machine"
  install_vulkan_driver || fail "the Vulkan driver could not be installed (the message is above)"
  name=$(adapter) || fail "the driver is installed, yet Deno finds no WebGPU adapter: see 'vulkaninfo --summary'"
fi
say "WebGPU adapter: $name"
say "ready"
