#!/bin/sh
# From speech to a model, in so many minutes of training: train.sh RUN MINUTES CONFIG TEXTS SPEECH...     (README.md)
# The flow LM and the decoder are trained side by side, on a CPU with half of the cores each. Called again with more minutes it goes on.
set -e
run=$1 minutes=$2 config=$3 texts=$4
shift 4
here=$(dirname "$0")
share() { awk "BEGIN { print $minutes * $1 }"; }
train() { script=$1; shift; "${PYTHON:-python3}" "$here/$script" "$run" "$@"; }

[ -e "$run/corpus.npz" ] || "${PYTHON:-python3}" "$here/data.py" "$@" --texts "$texts" --config "$config" --out "$run"
[ -e "$run/align.npy" ] || train align.py > "$run/align.log" 2>&1 &
align=$!
# Latents stay as they are once there are some: what was learned from them would not fit others.
[ -e "$run/latents.npy" ] || train features.py --minutes "$(share 0.15)"
wait $align
export OMP_NUM_THREADS=$((($(nproc) + 1) / 2))
train lm.py --minutes "$(share 0.8)" > "$run/lm.log" 2>&1 &
lm=$!
train decoder.py --minutes "$(share 0.8)"
train encoder.py --minutes "$(share 0.05)"
wait $lm
train export.py
