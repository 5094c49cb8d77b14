#!/usr/bin/env bash
# Run the kernel tests for ARM64 (base, dotprod and i8mm) on an x86-64 machine: a cross compiler builds the extension, and Debian's Python
# for ARM64 runs it under qemu-user. Requires Debian or Ubuntu with gcc-aarch64-linux-gnu and qemu-user, but no root: packages are only
# unpacked. The first run takes six minutes. Arguments are passed to pytest: scripts/test_arm64.sh -k int8
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
WORK=$PWD/build/arm64
ROOT=$WORK/root APT=$WORK/apt LIB=usr/lib/aarch64-linux-gnu

for tool in aarch64-linux-gnu-gcc qemu-aarch64 apt-get; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt install gcc-aarch64-linux-gnu qemu-user" >&2; exit 1; }
done

if [ ! -e "$ROOT/complete" ]; then                      # a separate apt state, in which nothing is installed
    mkdir -p "$ROOT" "$APT/lists/partial" "$APT/cache/archives/partial"
    : >"$APT/status"
    options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status="$APT/status"
             -o Dir::State::lists="$APT/lists" -o Dir::Cache="$APT/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)")
    apt-get "${options[@]}" update
    apt-get "${options[@]}" -y --no-install-recommends --download-only install python3-numpy python3-pytest libpython3-dev libgomp1
    for package in "$APT"/cache/archives/*.deb; do dpkg -x "$package" "$ROOT"; done
    rm -rf "$APT"
    touch "$ROOT/complete"
fi
headers=$(echo "$ROOT"/usr/include/python3.*)
guest=$(echo "$ROOT"/usr/bin/python3.[0-9]*[0-9])

# Build tools are not in the environment: pip installs them only for its own builds.
[ -e "$WORK/tools" ] || "$PYTHON" -m pip install --quiet --target "$WORK/tools" 'setuptools>=70' 'cython>=3.0'

rm -rf "$WORK/code"
mkdir -p "$WORK/code"
cp -r setup.py pyproject.toml README.md pockettts tests "$WORK/code/"
rm -f "$WORK"/code/pockettts/*.so
cd "$WORK/code"
PYTHONPATH=$WORK/tools _PYTHON_HOST_PLATFORM=linux-aarch64 SETUPTOOLS_EXT_SUFFIX=.so LDSHARED="aarch64-linux-gnu-gcc -shared" \
    CC="aarch64-linux-gnu-gcc -I$headers -I$ROOT/usr/include" "$OLDPWD/$PYTHON" setup.py -q build_ext --inplace

run() {
    qemu-aarch64 -cpu "$1" -L "$ROOT" -E PYTHONHOME="$ROOT/usr" -E PYTHONPATH="$PWD:$ROOT/usr/lib/python3/dist-packages" \
        -E LD_LIBRARY_PATH="/$LIB/blas:/$LIB/lapack" "$guest" "${@:2}"
}
builds='from pockettts import ops; print(*ops.builds())'
[ "$(run cortex-a53 -c "$builds")" = base ]             # has no dotprod
[ "$(run neoverse-n1 -c "$builds")" = "dotprod base" ]
[ "$(run max -c "$builds")" = "i8mm dotprod base" ]
# qemu aborts when a forked process starts a thread.
run max -m pytest -q --noconftest -p no:cacheprovider tests/test_kernels.py -k "not forked" "$@"
