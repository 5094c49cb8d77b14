"""Export a trained model in the official layout.

    python export.py RUN [--temperature 0.1]      # RUN/mini/: model.safetensors (bf16), mini.yaml, tokenizer.model, voices/

pockettts speaks with it: pockettts --config RUN/mini/mini.yaml "Hello."
"""

import shutil
from pathlib import Path

import torch
import yaml
from corpus import Corpus
from lm import WATCHED, Learner, load_learner
from model import Mimi, causal_mask
from safetensors.torch import save_file
from training import argument_parser, load_average, load_yaml, parse
from utterances import PREFIX


def final_learner(run: Path) -> Learner:
    """The averaged flow LM in bf16 precision, with the distilled flow net if there is one."""
    final = run / "lm_final.pt"
    learner = load_learner(run, "cpu", final if final.exists() else None)
    learner.load_state_dict({k: v.to(torch.bfloat16) for k, v in learner.state_dict().items()})
    return learner


def official_weights(run: Path, learner: Learner) -> dict[str, torch.Tensor]:
    """All tensors by official name. Those of Mimi come from the last training that changed them."""
    mimi = Mimi(load_yaml(run)["mimi"]).state_dict()
    for name in ("features", "decoder", "encoder"):
        if (path := run / f"{name}.pt").exists():
            learned = load_average(path)
            mimi |= {k.removeprefix("mimi."): v for k, v in learned.items() if k.startswith("mimi.")}
    tensors = {f"mimi.{k}": v for k, v in mimi.items()}
    tensors |= {f"flow_lm.{k}": v for k, v in learner.lm.state_dict().items()}
    return {k: v.to(torch.bfloat16).contiguous() for k, v in tensors.items()}


@torch.no_grad()
def voice_state(learner: Learner, voice: int) -> dict[str, torch.Tensor]:
    """The KV cache of the positions before the text, in the format of the official voice files."""
    x, tensors = learner.voice_prefix(torch.tensor([voice])), {}
    mask = causal_mask(PREFIX, None, x.device)
    for i, layer in enumerate(learner.lm.transformer.layers):
        _, k, v = layer.self_attn.qkv(layer.norm1(x))
        name = f"transformer.layers.{i}.self_attn/"
        tensors[name + "cache"] = torch.stack([k, v]).transpose(2, 3).contiguous()  # [2, 1, T, H_kv, D]
        tensors[name + "offset"] = torch.tensor([PREFIX])
        x, _ = layer(x, mask)
    return tensors


def short_names(voices: list[str]) -> list[str]:
    """Names without the prefix of Kokoro's voices, "heart" for "af_heart"; the full names if the short ones are not unique."""
    names = [name.split("_")[-1] for name in voices]
    return names if len(set(names)) == len(names) and all(names) else voices


def export(run: Path, temperature: float, language: str = "english") -> Path:
    """Write RUN/mini/. Returns that folder."""
    folder = run / "mini"
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    learner = final_learner(run)
    tensors = official_weights(run, learner)
    save_file(tensors, folder / "model.safetensors")
    names = short_names(Corpus(run).voices)  # these voices are the first rows of the table
    for i, name in enumerate(names):
        save_file(voice_state(learner, i), folder / "voices" / f"{name}.safetensors")
    config = load_yaml(run) | {
        "weights_path": "model.safetensors",
        "voices_path": "voices/{voice}.safetensors",
        "voice_names": names,
        "default_voice": names[0],
        "alignment_heads": [[layer, 0] for layer in WATCHED],
        "language": language,
        "default_temperature": temperature,
        "default_eos_threshold": 0.0,
        "parameters": sum(v.numel() for v in tensors.values()),
    }
    (folder / "mini.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    shutil.copyfile(run / "tokenizer.model", folder / "tokenizer.model")
    return folder


def main() -> None:
    parser = argument_parser(__doc__, minutes=False)
    parser.add_argument("--temperature", type=float, default=0.1, help="the model's default temperature")
    parser.add_argument("--language", default="english", help="language of the reading rules in pockettts")
    args = parse(parser)
    print(export(args.run, args.temperature, args.language))


if __name__ == "__main__":
    main()
