"""Save checkpoints to continue a training from: weights (bf16) and moving averages, without the optimizer states.

    python checkpoint.py RUN FOLDER      # FOLDER/features.pt, lm.pt, decoder.pt, encoder.pt

`train.py --checkpoint FOLDER` continues from there; the optimizers warm up again.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

NAMES = ("features", "lm", "decoder", "encoder")
CONTINUED = ("lm", "decoder")  # the others need only their averages


def shrink(state: dict[str, Any], with_weights: bool) -> dict[str, Any]:
    """The state of a training.Training without the optimizers."""
    kept = {k: state[k] for k in ("ema", "step", "worked")}
    if with_weights:
        kept["modules"] = {
            name: {k: w.to(torch.bfloat16) if w.is_floating_point() else w for k, w in weights.items()}
            for name, weights in state["modules"].items()
        }
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        path = args.run / f"{name}.pt"
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            torch.save(shrink(state, name in CONTINUED and "modules" in state), args.folder / path.name)
            print(f"{args.folder / path.name}: step {state['step']}, {state['worked'] / 60:.0f} minutes")


if __name__ == "__main__":
    main()
