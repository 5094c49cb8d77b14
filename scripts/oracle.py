"""The official pocket-tts package as an oracle: make models with random weights, and dump its results for them.

It runs in an environment with that package (pip install torch==2.13.0 pocket-tts==4.0.1), and without pockettts:

    python scripts/oracle.py make english /tmp/english           # config.yaml, model.safetensors, tokenizer.model
    python scripts/oracle.py dump /tmp/english --frames 20       # dump.npz, see `dump`
    python scripts/oracle.py golden tests/data/golden            # both, for the tiny models of shapes.yaml
    python scripts/oracle.py speak pockettts/models/mini mini.npz    # the bundled model, which has trained weights

A model is the name of an official config or of one in shapes.yaml. Everything is computed at temperature 0, so there is one right result.
"""

import argparse
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import yaml
from pocket_tts import TTSModel
from pocket_tts.data.audio_utils import end_on_pause
from pocket_tts.models.mimi import build_mimi
from pocket_tts.modules.stateful_module import increment_steps, init_states
from pocket_tts.utils.config import CONFIGS_DIR, Config, load_config
from safetensors.torch import save_file

SHAPES = yaml.safe_load((Path(__file__).parent / "shapes.yaml").read_text())
TEXT = "Hello, world! This is a test of 3 things: numbers like 3.14, quotes, and 'names'."
MINI_SENTENCES = Path(__file__).parents[1].resolve() / "tests" / "data" / "sentences" / "held_out.tsv"
MAX_TOKENS = 30  # per chunk, so that a text has several chunks
SENTENCES = [
    "Yes",
    "It costs 3.14 dollars; is that (really) so much?",
    "The first sentence ends here. The second one, which is longer than the first, goes on for a while: it has parts, \n"
    "and ends at last! Does a third one follow? Of course \u2014 \u201cit does\u201d.",
]


def make(name: str, folder: Path, seed: int = 0, bf16: bool = False) -> None:
    """Write config.yaml, model.safetensors and tokenizer.model of a model, in the format of downloads."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # the paths in the config are relative
    config = config_of(name)
    table = config["flow_lm"]["lookup_table"]
    train_tokenizer(table["n_bins"])
    table.update(tokenizer="sentencepiece", tokenizer_path="tokenizer.model")
    config.pop("weights_path_without_voice_cloning", None)
    config["weights_path"] = None  # build it without weights
    Path("config.yaml").write_text(yaml.safe_dump(config))
    state = random_model(seed).state_dict()
    save_file(
        {k: v.to(torch.bfloat16 if bf16 else v.dtype).contiguous() for k, v in state.items()}, "model.safetensors"
    )
    config["weights_path"] = "model.safetensors"
    Path("config.yaml").write_text(yaml.safe_dump(config))


def config_of(name: str) -> dict:
    """An official config, or one of shapes.yaml with its base filled in."""
    if name not in SHAPES:
        return yaml.safe_load((CONFIGS_DIR / f"{name}.yaml").read_text())
    changes = dict(SHAPES[name])
    return merged(config_of(changes.pop("base")), changes)


def merged(old: dict, new: dict) -> dict:
    """`old` with the values of `new`, section by section."""
    return old | {
        k: merged(old[k], v) if isinstance(v, dict) and isinstance(old.get(k), dict) else v for k, v in new.items()
    }


def train_tokenizer(n_bins: int) -> None:
    """Write tokenizer.model: SentencePiece with exactly n_bins pieces, trained on Python's documentation."""
    from pydoc_data.topics import topics

    lines = [line.strip() for text in topics.values() for line in text.splitlines() if len(line.strip()) > 20]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix="tokenizer",
        vocab_size=n_bins,
        model_type="unigram",
        byte_fallback=True,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
    )
    Path("tokenizer.vocab").unlink()


@torch.no_grad()
def random_model(seed: int) -> TTSModel:
    """The model of config.yaml. Weights that are initialized to 0, 1 or nearly so are random too, since they would hide errors."""
    torch.manual_seed(seed)
    config = load_config("config.yaml")
    model = TTSModel._from_pydantic_config(config, 0.0, 1, None, math.inf, origin=None)
    model.mimi = build_mimi(config.mimi)
    width = config.mimi.inner_dim or config.mimi.seanet.dimension
    model.flow_lm.speaker_proj_weight = torch.nn.Parameter(torch.randn(config.flow_lm.transformer.d_model, width) * 0.1)
    model.flow_lm.emb_std.uniform_(0.5, 1.5)
    model.flow_lm.emb_mean.normal_(0, 0.3)
    for name, weight in model.named_parameters():
        if "layer_scale" in name:
            weight.uniform_(0.2, 0.6)
        elif name.endswith("alpha") or "norm" in name or "in_ln" in name:
            weight.normal_(0, 0.1) if name.endswith("bias") else weight.uniform_(0.5, 1.5)
        elif "embed.weight" not in name:
            weight *= 1.4 if weight.ndim > 1 else 0.3  # with 1, activations vanish; with 1.7, they become chaotic
    return model


def voice_prompt(seconds: float, rate: int) -> torch.Tensor:
    """A signal similar to speech, with 16-bit values: syllables of a rising tone and noise, then a pause. [1, samples]"""
    t = torch.arange(int(seconds * rate), dtype=torch.float64) / rate
    noise = torch.randn(len(t), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    syllables = torch.sin(2 * math.pi * 2.5 * t).clamp(min=0) * (t < 0.85 * seconds)
    return ((0.3 * torch.sin(2 * math.pi * (120 + 60 * t) * t) + 0.03 * noise) * syllables * 32767).round()[
        None
    ].float() / 32768


@torch.no_grad()
def dump(folder: Path, frames: int = 20, steps: int = 1, seconds: float = 2, sentences: list[str] = SENTENCES) -> None:
    """Write dump.npz.

    Results of each stage, with the LM's own latents fed back: text, ids, steps (of the sampler), prompt [samples],
    conditioning [T, d_model], and for each frame hidden (the flow net's input), eos_logit, latent, audio.
    Results of `generate_audio`: sentences, speech (concatenated), lengths (of each in samples), eos_threshold.
    """
    os.chdir(folder)
    model = TTSModel.load_model(config="config.yaml", temp=0.0, eos_threshold=math.inf, sampler_decode_steps=steps)
    lm, mimi = model.flow_lm, model.mimi
    prompt = voice_prompt(seconds, model.sample_rate)
    voice = model.get_state_for_audio_prompt(prompt)
    ids = lm.conditioner.prepare(TEXT)
    out = dict(
        text=TEXT,
        ids=ids[0],
        steps=steps,
        prompt=prompt[0],
        conditioning=model._encode_audio(end_on_pause(prompt, model.sample_rate)[None])[0],
    )

    seen = {}
    lm.out_eos.register_forward_hook(lambda _, inputs, logit: seen.update(hidden=inputs[0][0], eos_logit=logit[0]))
    state = {name: {k: v.clone() for k, v in part.items()} for name, part in voice.items()}
    model._expand_kv_cache(state, 10_000)
    model._run_flow_lm_and_increment_step(state, text_tokens=ids)
    positions = int(mimi.encoder_frame_rate / mimi.frame_rate)
    codec = init_states(mimi, 1, frames * positions)
    latent, rows = torch.full((1, 1, lm.ldim), math.nan), []
    for _ in range(frames):
        latent, _ = model._run_flow_lm_and_increment_step(state, backbone_input_latents=latent)
        audio = mimi.decode_from_latent(latent * lm.emb_std + lm.emb_mean, codec)
        increment_steps(mimi, codec, positions)
        rows.append({**seen, "latent": latent[0, 0], "audio": audio[0, 0]})
    out |= {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    if sentences:
        model.eos_threshold = threshold(model, voice, sentences)
        speech = [model.generate_audio(voice, text, max_tokens=MAX_TOKENS) for text in sentences]
        out |= dict(
            sentences=sentences,
            speech=torch.cat(speech),
            lengths=[len(s) for s in speech],
            max_tokens=MAX_TOKENS,
            eos_threshold=model.eos_threshold,
        )
    np.savez_compressed("dump.npz", **out)
    print(folder.name, *(f"{name} {tuple(np.shape(value))}" for name, value in out.items()))


def speak(folder: Path, output: Path) -> None:
    """Speak sentences with the official package and the bundled model in `folder`. Write the samples of each, by id, to an .npz file."""
    (config,) = folder.glob("*.json")
    known = set(Config.model_fields)  # the official schema rejects other fields, such as alignment_heads
    values = {name: value for name, value in yaml.safe_load(config.read_text()).items() if name in known}
    output = output.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "config.yaml")
        file.write_text(yaml.safe_dump(values))
        os.chdir(folder)  # its paths are relative
        model = TTSModel.load_model(config=file, temp=0.0)
    sounds = {}
    for line in MINI_SENTENCES.read_text().splitlines()[:10]:
        number, voice, text = line.split("\t")
        state = model.get_state_for_audio_prompt(f"voices/{voice}.safetensors")
        sounds[number] = model.generate_audio(state, text).numpy()
    np.savez_compressed(output, **sounds)


def threshold(model: TTSModel, voice: dict, sentences: list[str]) -> float:
    """An EOS threshold that all chunks of the sentences cross except one, which reaches its length limit."""
    chunks = []
    hooks = [
        model.flow_lm.conditioner.register_forward_pre_hook(
            lambda _, ids: chunks.append([]) if ids[0].shape[1] else None
        ),
        model.flow_lm.out_eos.register_forward_hook(lambda _, inputs, logit: chunks[-1].append(logit.item())),
    ]
    for text in sentences:
        model.generate_audio(voice, text, max_tokens=MAX_TOKENS)
    for hook in hooks:
        hook.remove()
    first = 1 + model._MIN_FRAMES_BEFORE_EOS  # the prefill has a logit too
    lowest, second, *_ = sorted(max(logits[first:]) for logits in chunks)
    return (lowest + second) / 2


def golden(folder: Path) -> None:
    """Write the tiny models in bf16, and dumps of a few frames of each."""
    few = dict(frames=4, seconds=0.5)
    for name, options in {
        "tiny": dict(sentences=[]),
        "tiny_pointwise": dict(sentences=["Yes", "No; 3.5!"]),
        "tiny_flow_matching": dict(sentences=["Yes", "No"], steps=3),
    }.items():
        make(name, folder / name, bf16=True)
        dump(folder / name, **few, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("make")
    command.add_argument("name")
    command.add_argument("folder", type=Path)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--bf16", action="store_true")
    command = commands.add_parser("dump")
    command.add_argument("folder", type=Path)
    command.add_argument("--frames", type=int, default=20)
    command.add_argument("--steps", type=int, default=1, help="of the sampler")
    commands.add_parser("golden").add_argument("folder", type=Path)
    command = commands.add_parser("speak")
    command.add_argument("folder", type=Path)
    command.add_argument("output", type=Path)
    options = vars(parser.parse_args())
    options["folder"] = options["folder"].resolve()
    {"make": make, "dump": dump, "golden": golden, "speak": speak}[options.pop("command")](**options)


if __name__ == "__main__":
    main()
