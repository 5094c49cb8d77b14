#!/usr/bin/env bash
# Run the kernel tests with the tile sizes of AVX-512, and again with emulated AMX, on a CPU without either: the same source is compiled for
# AVX2 with 16 floats per vector (two registers each), and with AMX instructions in C. This tests the layouts and the loops, but not the
# speed or the instructions of the real builds. It takes five minutes. Arguments are passed to pytest: scripts/test_emulated.sh -k int8
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=$(realpath -s "${PYTHON:-.venv/bin/python}")
WORK=$PWD/build/emulated
mkdir -p "$WORK"
# Build tools are not in the environment: pip installs them only for its own builds.
[ -e "$WORK/tools" ] || "$PYTHON" -m pip install --quiet --target "$WORK/tools" 'cython>=3.0'
include=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
suffix=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')

rm -rf "$WORK/code"
mkdir -p "$WORK/code"
cp -r pockettts tests "$WORK/code/"
rm -f "$WORK"/code/pockettts/*.so
PYTHONPATH=$WORK/tools "$PYTHON" -m cython -3 --module-name pockettts._ops "$WORK/code/pockettts/_ops.pyx" -o "$WORK/_ops.c"
for defines in "-DEMULATE_512" "-DEMULATE_512 -DEMULATE_AMX"; do
    echo "$defines"
    # shellcheck disable=SC2086
    ${CC:-gcc} -shared -fPIC -O1 -w -mavx2 -mfma -fopenmp $defines -Ipockettts -I"$include" "$WORK/_ops.c" -o "$WORK/code/pockettts/_ops$suffix"
    (cd "$WORK/code" && PYTHONPATH=$PWD "$PYTHON" -m pytest -q --noconftest -p no:cacheprovider tests/test_kernels.py "$@")
done
