"""What was trained as a model of the official layout: RUN/mini/ with model.safetensors (bf16), mini.yaml, tokenizer.model, voices/

    python export.py RUN
"""
import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
import yaml
from common import averaged, config
from lm import Learner
from net import Mimi
from safetensors.torch import save_file


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All tensors by their official names: each from the training that ended with it."""
    mimi = Mimi(config(run)["mimi"]).state_dict()
    for name in ("features", "decoder", "encoder"):
        if (path := run / f"{name}.pt").exists():
            mimi |= {k.removeprefix("mimi."): v for k, v in averaged(path).items() if k.startswith("mimi.")}
    lm = {k.removeprefix("lm."): v for k, v in averaged(run / "lm.pt").items() if k.startswith("lm.")}
    return {f"mimi.{k}": v for k, v in mimi.items()} | {f"flow_lm.{k}": v for k, v in lm.items()}


@torch.no_grad()
def voice_state(learner: Learner, voice: int) -> dict[str, torch.Tensor]:
    """Keys and values of the two positions before the text, as official voice files have them."""
    lm, tensors = learner.lm, {}
    x = torch.stack([lm.bos_before_voice[0, 0], lm.speaker_proj_weight @ learner.voices.weight[voice]])[None]
    mask = torch.ones(2, 2, dtype=torch.bool).tril()
    for i, layer in enumerate(lm.transformer.layers):
        attention = layer.self_attn
        qkv = attention.in_proj(layer.norm1(x)).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        _, k, v = qkv.split([attention.num_heads, attention.num_kv_heads, attention.num_kv_heads], 1)
        name = f"transformer.layers.{i}.self_attn/"
        tensors[name + "cache"] = torch.stack([attention.rope(k), v]).transpose(2, 3).contiguous()
        tensors[name + "offset"] = torch.tensor([2])
        x, _ = layer(x, mask)
    return tensors


def export(run: Path) -> Path:
    folder = run / "mini"
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    c, voices = config(run), [str(name) for name in np.load(run / "corpus.npz")["voices"]]
    tensors = {k: v.cpu().to(torch.bfloat16) for k, v in weights(run).items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    learned = averaged(run / "lm.pt")
    learner = Learner(c, len(learned["voices.weight"]))                         # those of the corpus come first
    learner.load_state_dict({k: v.cpu().to(torch.bfloat16).float() for k, v in learned.items()})
    names = [name.split("_")[-1] for name in voices]                            # af_heart: heart
    for i, name in enumerate(names):
        save_file(voice_state(learner, i), folder / "voices" / f"{name}.safetensors")
    c |= {"weights_path": "model.safetensors", "voices_path": "voices/{voice}.safetensors", "voice_names": names,
          "default_voice": names[0], "parameters": sum(v.numel() for v in tensors.values())}
    (folder / "mini.yaml").write_text(yaml.safe_dump(c, sort_keys=False))
    shutil.copy(run / "tokenizer.model", folder)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    print(export(parser.parse_args().run))
