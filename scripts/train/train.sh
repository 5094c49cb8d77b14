#!/bin/sh
# From speech to a model, in so many minutes of training: train.sh RUN MINUTES CONFIG TEXTS SPEECH...     (README.md)
# The flow LM and the decoder are trained side by side, on a CPU with half of the cores each. Called again with more minutes it goes on.
#   ALSO="more.tar"   speech by others, of which only the reading is learned
#   KEEP=FOLDER       every minute the model as it is gets there, in parts of 15 MB: on a machine that is taken away, nothing else lasts
set -e
run=$1 minutes=$2 config=$3 texts=$4
shift 4
here=$(dirname "$0")
share() { awk "BEGIN { print $minutes * $1 }"; }
train() { script=$1; shift; "${PYTHON:-python3}" "$here/$script" "$run" "$@"; }
pack() { out=$1; shift; [ -e "$out/corpus.npz" ] || "${PYTHON:-python3}" "$here/data.py" "$@" --texts "$texts" --config "$config" --out "$out"; }
keep() {
    while sleep 60; do
        [ -e "$run/lm.pt" ] && train export.py && tar -C "$run" -cf - mini | split -b 15m - "$KEEP/mini.tar."
    done
}

pack "$run" "$@"
if [ -n "$ALSO" ]; then
    pack "$run/also" $ALSO --voice other
    also="--also $run/also"
    [ -e "$run/also/align.npy" ] || "${PYTHON:-python3}" "$here/align.py" "$run/also" > "$run/also/align.log" 2>&1 & also_align=$!
fi
[ -e "$run/align.npy" ] || train align.py > "$run/align.log" 2>&1 & align=$!
# Latents stay as they are once there are some: what was learned from them would not fit others.
[ -e "$run/latents.npy" ] || train features.py --minutes "$(share 0.15)" $also
wait $align
wait $also_align
export OMP_NUM_THREADS=$((($(nproc) + 1) / 2))
[ -z "$KEEP" ] || keep > "$run/keep.log" 2>&1 & keeper=$!
train lm.py --minutes "$(share 0.8)" $also > "$run/lm.log" 2>&1 & lm=$!
train decoder.py --minutes "$(share 0.8)" > "$run/decoder.log" 2>&1
wait $lm
kill $keeper 2> /dev/null || true
train encoder.py --minutes "$(share 0.05)"
train export.py
[ -z "$KEEP" ] || tar -C "$run" -cf - mini | split -b 15m - "$KEEP/mini.tar."
