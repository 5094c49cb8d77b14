"""scripts/train/: what is trained there is the model that pockettts speaks with, and a training ends and goes on as it says.

All but the first tests need PyTorch, which pockettts itself does not.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from pockettts.config.load import load_config

SPEECH = Path(__file__).parent / "data" / "speech"
SCRIPTS = Path(__file__).parent.parent / "scripts" / "train"
SMALL = {  # so that a step takes milliseconds
    "flow_lm": {
        "flow": {"depth": 1, "dim": 16},
        "transformer": {"d_model": 32, "hidden_scale": 2, "num_heads": 4, "num_layers": 4},
        "lookup_table": {"dim": 32},
    },
    "mimi": {
        "outer_dim": 24,
        "quantizer": {"output_dimension": 24},
        "seanet": {"dimension": 16, "n_filters": 2},
        "decoder_seanet": {"dimension": 24, "n_filters": 2},
        "transformer": {
            "d_model": 16,
            "num_heads": 2,
            "num_layers": 1,
            "dim_feedforward": 32,
            "input_dimension": 16,
            "output_dimensions": [16],
        },
        "decoder_transformer": {
            "d_model": 24,
            "num_heads": 2,
            "num_layers": 1,
            "dim_feedforward": 32,
            "input_dimension": 24,
            "output_dimensions": [24],
        },
    },
}


def merged(base, changes):
    return {
        k: merged(v, changes[k]) if k in changes and isinstance(v, dict) else changes.get(k, v) for k, v in base.items()
    }


RUN_ALL = """
import runpy, sys
for line in sys.stdin.read().splitlines():
    sys.argv = line.split("|")
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*commands):
    """Several scripts in one process, so that PyTorch is loaded once; returns what they print."""
    lines = "\n".join("|".join([str(SCRIPTS / script), *map(str, args)]) for script, *args in commands)
    done = subprocess.run([sys.executable, "-c", RUN_ALL], input=lines, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mini_is_a_config_that_pockettts_knows():
    config = load_config(SCRIPTS / "mini.yaml")
    assert config.mimi.sample_rate / config.mimi.frame_rate == 1920 and config.mimi.quantizer.dimension == 32


def test_words_that_a_recogniser_missed_are_counted(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from judge import distance, words

    assert words("It's a well-known 'word'.") == ["it's", "a", "well", "known", "'word'"]
    assert distance(words("the cat sat down"), words("a cat sat")) == 2
    assert distance([], ["a", "b"]) == distance(["a", "b"], []) == 2


def test_sentences_with_figures_are_as_many_as_asked_for_and_each_another():
    lines = run(("figures.py", 97, 60, "her", "him")).splitlines()
    assert [line[:10] for line in lines[:3]] == ["00097\ther\t", "00098\thim\t", "00099\ther\t"]
    texts = [line.split("\t")[2] for line in lines]
    assert len(set(texts)) == 60 and all(any(c.isdigit() for c in text) for text in texts)


def test_a_tokenizer_of_letters(tmp_path):
    from pockettts.reading.tokenizer import load_tokenizer

    (tmp_path / "texts.tsv").write_text("00001\tany\tA quick fox.\n00002\tany\tJumps, high!\n")
    run(("tokenizer.py", tmp_path / "texts.tsv", tmp_path / "letters"))
    n_bins = load_config(tmp_path / "letters" / "mini.yaml").flow_lm.lookup_table.n_bins
    ids = load_tokenizer(tmp_path / "letters" / "tokenizer.model", n_bins).encode("Jumps.")
    assert len(ids) == 7 and len(set(ids)) == 7 and 0 not in ids  # a space before it; none is unknown


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of every script for a moment, on 10 seconds of speech."""
    pytest.importorskip("torch")
    pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("train")
    for i, name in ((1, "her"), (2, "him"), (3, "her"), (97, "him")):
        (folder / "speech").mkdir(exist_ok=True)
        shutil.copy(SPEECH / f"{name}.ogg", folder / "speech" / f"{i:05d}.ogg")
    (folder / "texts.tsv").write_text(
        "".join(
            f"{i:05d}\taf_{name}\tSome words are spoken here.\n"
            for i, name in ((1, "her"), (2, "him"), (3, "her"), (97, "him"))
        )
    )
    config = yaml.safe_load((SCRIPTS / "mini.yaml").read_text())
    (folder / "mini.yaml").write_text(yaml.safe_dump(merged(config, SMALL)))
    shutil.copy(SCRIPTS / "tokenizer.model", folder)
    out = folder / "run"
    moment = ("--minutes", 0.005)
    printed = run(
        ("data.py", folder / "speech", "--texts", folder / "texts.tsv", "--config", folder / "mini.yaml", "--out", out),
        (
            "data.py",
            folder / "speech",
            "--texts",
            folder / "texts.tsv",
            "--config",
            folder / "mini.yaml",
            "--out",
            out / "also",
            "--voice",
            "other",
        ),
        ("features.py", out, *moment, "--batch", 2, "--also", out / "also"),
        ("align.py", out),
        ("align.py", out / "also"),
        ("decoder.py", out, *moment, "--batch", 1, "--discriminate", 0, "--speak", 1),
        ("encoder.py", out, *moment, "--batch", 1),
        ("lm.py", out, *moment, "--also", out / "also"),
        ("lm.py", out, "--minutes", 0.01, "--also", out / "also"),
        ("export.py", out),
    )
    (out / "printed").write_text(printed)
    return out


def test_what_is_exported_speaks(trained):
    from pockettts import TTSModel

    model = TTSModel.load(config=trained / "mini" / "mini.yaml", cache=False)
    assert model.default_voice == "her"
    audio = model.generate("Hello.", "him", seed=0)
    assert len(audio) and np.isfinite(audio).all()


def test_held_out_speech_comes_last_and_is_never_cropped(trained, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from data import Corpus

    corpus = Corpus(trained)
    assert list(corpus.ids) == [1, 2, 3, 97]
    assert corpus.training_frames == corpus.start[3]
    starts = corpus.random_starts(1000, 24)
    assert int(starts.max()) + 24 <= corpus.training_frames
    first = corpus.crops(starts[:1], 2)[0].numpy()
    assert np.array_equal(
        first, np.load(trained / "audio.npy")[int(starts[0]) * 1920 :][: 2 * 1920].astype(np.float32) / 32768
    )


def test_training_ends_and_goes_on_where_it_ended(trained):
    first, second = [
        line for line in (trained / "printed").read_text().splitlines() if line.startswith("lm: from step")
    ]
    assert first.startswith("lm: from step 0, 0.0 of")
    assert not second.startswith("lm: from step 0,")


def test_a_text_in_other_pieces_is_spoken_at_the_same_times(trained, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from data import Corpus, Pieces
    from lm import SEGMENTED, otherwise, whole_ones

    corpus, pieces = Corpus(trained), Pieces(trained)
    usual, *_ = whole_ones(corpus, pieces, np.load(trained / "align.npy"), 0, 0)
    monkeypatch.setattr("lm.DROPPED", 1.0)  # letter by letter
    others = otherwise(usual, pieces)
    assert len(others) == SEGMENTED and len(others[0][0]) > len(usual[0])
    for tokens, begins, *_ in (usual, *others):
        letters = "".join(pieces.tokenizer.id_to_piece(int(t)) for t in tokens).replace("▁", "")
        assert letters.lower() == "somewordsarespokenhere."
        assert (np.diff(begins) >= 0).all() and set(begins) <= set(usual[4])
        assert begins[-1] == usual[4][-1]  # the full stop


def test_codec_speaks_what_is_held_out_at_its_length(trained):
    import soundfile

    samples, _ = soundfile.read(trained / "codec" / "00097.wav")
    assert abs(len(samples) - soundfile.info(SPEECH / "him.ogg").frames) < 1920


def test_twins(trained, monkeypatch):
    """PyTorch's whole sequences are what the engine computes in steps, with the exported weights and voices."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import torch
    from common import config
    from lm import Learner
    from net import Mimi
    from safetensors.torch import load_file

    from pockettts import TTSModel
    from pockettts.model.state import KVCache

    model = TTSModel.load(config=trained / "mini" / "mini.yaml", cache=False)
    tensors = {k: v.float() for k, v in load_file(trained / "mini" / "model.safetensors").items()}
    mimi = Mimi(config(trained)["mimi"])
    mimi.load_state_dict({k.removeprefix("mimi."): v for k, v in tensors.items() if k.startswith("mimi.")})
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 5 * 1920).astype(np.float32)
    with torch.no_grad():
        latents = mimi.latents(mimi.encoder(torch.from_numpy(samples)[None, None]))
        audio = mimi.decoder(mimi.features(latents))[0, 0].numpy()
    latents = np.ascontiguousarray(latents[0].T.numpy())
    np.testing.assert_allclose(model.voices.encoder.encode(samples), latents, atol=2e-4)
    np.testing.assert_allclose(model.decoder(latents, model.decoder.init_state()), audio, atol=2e-4)

    learner = Learner(config(trained), 3)
    learner.lm.load_state_dict({k.removeprefix("flow_lm."): v for k, v in tensors.items() if k.startswith("flow_lm.")})
    learner.voices.weight.data = torch.load(trained / "lm.pt")["ema"]["voices.weight"].bfloat16().float()
    ids, frames = [[5, 9, 30, 7], [8, 20]], rng.normal(0, 1, (2, 6, 32)).astype(np.float32)
    with torch.no_grad():
        tokens = torch.tensor([ids[0], ids[1] + [0, 0]])
        hidden, _ = learner(torch.tensor([0, 1]), tokens, torch.tensor([4, 2]), torch.from_numpy(frames))
    for b, voice in enumerate(("her", "him")):
        state = KVCache.restore(model.get_voice_state(voice).layers, 20)
        model.flow_lm.prefill(model.flow_lm.embed_text(ids[b]), state)
        for t in range(6):
            h = model.flow_lm.step(frames[b, t - 1 : t] if t else None, state)
            np.testing.assert_allclose(h[0], hidden[b, t].numpy(), atol=2e-3)
