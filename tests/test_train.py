"""scripts/train/: trained models work in pockettts, and trainings end on time and resume.

All but the first tests need PyTorch, which pockettts itself does not need.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
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
    """Run several scripts in one process, so that PyTorch is loaded once; returns their output."""
    lines = "\n".join("|".join([str(SCRIPTS / script), *map(str, args)]) for script, *args in commands)
    environment = os.environ | {"TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN_ALL]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def scripts(monkeypatch):
    """Make the scripts importable."""
    monkeypatch.syspath_prepend(str(SCRIPTS))


def test_the_config_of_mini_is_valid():
    config = load_config(SCRIPTS / "mini.yaml")
    assert config.mimi.sample_rate / config.mimi.frame_rate == 1920 and config.mimi.quantizer.dimension == 32


def test_word_errors_are_counted(scripts):
    pytest.importorskip("num2words")
    from judge import edit_distance, words

    assert words("It's a well-known 'word'.") == ["it's", "a", "well", "known", "'word'"]
    assert words("1,200 people, 5%") == ["one", "thousand", "two", "hundred", "people", "five", "percent"]
    assert edit_distance(words("the cat sat down"), words("a cat sat")) == 2
    assert edit_distance([], ["a", "b"]) == edit_distance(["a", "b"], []) == 2


def test_the_results_are_a_table(scripts):
    from judge import Verdict, table

    ours, recorded = [Verdict(2, 8, 2.5, 3.0, "")], [Verdict(1, 8, 3.0, 2.0, "")]
    assert "| 25.0% | 12.5% |" in table(ours, recorded) and "| 2.50 | 3.00 |" in table(ours, recorded)
    assert "| 0% | |" in table(ours, recorded)


WORDNET = """  1 This software and database is being provided to you
00001740 03 n 01 sand_dune 0 001 @ 00001930 n 0000 | a ridge of sand created by the wind; "they walked over the dune"
00001741 03 n 01 NASA 0 001 @ 00001930 n 0000 | an agency; "a man went up to NASA headquarters"
"""


def test_sentences_of_wordnet_and_of_templates(tmp_path):
    for name in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{name}").write_text(WORDNET if name == "noun" else "")
    lines = run(("sentences.py", tmp_path, "her", "him", "--first", 97)).splitlines()
    assert [line[:10] for line in lines[:2]] == ["00097\ther\t", "00098\thim\t"]
    texts = [line.split("\t")[2] for line in lines]
    assert "They walked over the dune." in texts and any("a ridge of sand created by the wind." in t for t in texts)
    assert not any("NASA" in text or "software" in text for text in texts)


def test_numbers_are_written_out(scripts):
    from sentences import number

    assert [number(n) for n in (0, 13, 40, 42, 100, 711)] == [
        "zero",
        "thirteen",
        "forty",
        "forty-two",
        "one hundred",
        "seven hundred and eleven",
    ]


def test_a_tokenizer_of_letters(tmp_path):
    from pockettts.reading.tokenizer import load_tokenizer

    (tmp_path / "texts.tsv").write_text("00001\tany\tA quick fox.\n00002\tany\tJumps, high!\n")
    run(("tokenizer.py", tmp_path / "texts.tsv", tmp_path / "letters"))
    n_bins = load_config(tmp_path / "letters" / "mini.yaml").flow_lm.lookup_table.n_bins
    ids = load_tokenizer(tmp_path / "letters" / "tokenizer.model", n_bins).encode("Jumps.")
    assert len(ids) == 7 and len(set(ids)) == 7 and 0 not in ids  # a space before it; none is unknown


def test_recordings_of_any_name_rate_and_channels(tmp_path, scripts):
    pytest.importorskip("torch")
    from corpus import SAMPLE_RATE, decode
    from texts import HELD_OUT, read_texts

    (tmp_path / "texts.tsv").write_text("take one\tme\tHello.\ntake two\tme\tGoodbye.\n")
    texts = read_texts(tmp_path / "texts.tsv")
    assert texts["take two"] == (2, "me", "Goodbye.") and texts["take one"].id % HELD_OUT
    (tmp_path / "texts.tsv").write_text("00194\tme\tHello.\n")
    assert read_texts(tmp_path / "texts.tsv") == {"194": (194, "me", "Hello.")}
    tone = np.sin(np.arange(44100) / 20) * np.repeat([0, 0.5], 22050)  # half a second is silent
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], 1), 44100)
    samples = decode("tone", (tmp_path / "tone.wav").read_bytes())
    assert samples.dtype == np.int16 and abs(len(samples) - SAMPLE_RATE) < 200
    assert np.sqrt(np.mean((samples / 32768) ** 2)) == pytest.approx(0.06, rel=0.01)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a\tme\tHello.\nb\tme\n", "line 2: expected name, voice and sentence"),
        ("a\tme\tHello.\na\tme\tHi.\n", "a name is there twice"),
    ],
)
def test_a_wrong_table_is_reported(tmp_path, scripts, lines, message):
    from texts import read_texts

    (tmp_path / "texts.tsv").write_text(lines)
    with pytest.raises(SystemExit, match=message):
        read_texts(tmp_path / "texts.tsv")


RECORDED = ((1, "her"), (2, "him"), (3, "her"), (97, "him"))
SPOKEN = "Some words are spoken here."
PHONES = "s ʌ m | w ɜː d z | ɑːɹ | s p oʊ k ə n | h ɪɹ"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run of every script, on 10 seconds of speech."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("train")
    (folder / "speech").mkdir()
    for i, name in RECORDED:
        shutil.copy(SPEECH / f"{name}.ogg", folder / "speech" / f"{i:05d}.ogg")
    ids = [*(i for i, _ in RECORDED), *range(4, 10)]  # the last have no recordings
    voices = dict(RECORDED)
    table = [f"{i:05d}\taf_{voices.get(i, 'her')}\t{SPOKEN}" for i in ids]
    (folder / "texts.tsv").write_text("\n".join(table) + "\n")
    (folder / "phones.tsv").write_text("".join(f"{i}\t{PHONES}\n" for i in ids))
    shutil.copy(SCRIPTS / "phones.txt", folder)
    config = yaml.safe_load((SCRIPTS / "mini.yaml").read_text())
    path = config["flow_lm"]["lookup_table"]["tokenizer_path"]
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str((SCRIPTS / path).resolve())
    (folder / "mini.yaml").write_text(yaml.safe_dump(merged(config, SMALL)))
    out, also, synth = folder / "run", folder / "also", folder / "synth"
    common = ("--texts", folder / "texts.tsv", "--config", folder / "mini.yaml")
    phones, moment, corpora = ("--phones", folder), ("--minutes", 0.005), ("--also", also, synth)
    printed = run(
        ("corpus.py", out, folder / "speech", *common),
        ("corpus.py", also, folder / "speech", *common, "--voice", "other"),
        ("features.py", out, *moment, "--batch", 2, "--also", also),
        ("align.py", out, *phones),
        ("align.py", also, *phones),
        ("synthetic.py", out, synth, "--texts", folder / "texts.tsv", *phones),
        ("lm.py", out, *moment, *corpora),
        ("lm.py", out, "--minutes", 0.01, *corpora),
        ("checkpoint.py", out, folder / "kept"),
        ("gta.py", out),
        ("decoder.py", out, *moment, "--batch", 1, "--discriminate", 0),
        ("distill.py", out, *moment, "--batch", 16),
        ("encoder.py", out, *moment, "--batch", 1),
        ("speak.py", out, folder / "codec", "--latents", "true"),
        ("speak.py", out, folder / "guess", "--latents", "guess"),
        ("export.py", out),
    )
    (out / "printed").write_text(printed)
    return out


def test_the_exported_model_speaks(trained):
    from pockettts import TTSModel

    model = TTSModel.load(config=trained / "mini" / "mini.yaml", cache=False)
    assert model.default_voice == "her"
    audio = model.generate("Hello.", "him", seed=0)
    assert len(audio) and np.isfinite(audio).all()


def test_held_out_speech_comes_last_and_is_never_cropped(trained, scripts):
    from corpus import Corpus

    corpus = Corpus(trained)
    assert list(corpus.ids) == [1, 2, 3, 97]
    assert corpus.training_frames == corpus.start[3]
    starts = corpus.random_starts(1000, 24)
    assert int(starts.max()) + 24 <= corpus.training_frames
    first = corpus.crops(starts[:1], 2)[0].numpy()
    assert np.array_equal(
        first, np.load(trained / "audio.npy")[int(starts[0]) * 1920 :][: 2 * 1920].astype(np.float32) / 32768
    )


def test_training_ends_and_resumes(trained):
    first, second = [
        line for line in (trained / "printed").read_text().splitlines() if line.startswith("lm: from step")
    ]
    assert first.startswith("lm: from step 0, 0.0 of")
    assert not second.startswith("lm: from step 0,")


def test_a_checkpoint_warms_up_again(trained, scripts):
    import torch
    from lm import Learner
    from training import Training, load_yaml, make_optimizer

    kept = trained.parent / "kept"
    assert sorted(path.name for path in kept.iterdir()) == ["features.pt", "lm.pt"]  # what there was at that time
    learner = Learner(load_yaml(trained))
    optimizer = make_optimizer(learner, 1.0)
    training = Training(kept, "lm", 100, {"learner": learner}, [optimizer], "learner")
    state = torch.load(trained / "lm.pt", weights_only=True)
    assert training.step == state["step"] > 0
    weight = state["modules"]["learner"]["guess.weight"]
    torch.testing.assert_close(learner.guess.weight.data, weight.bfloat16().float())
    torch.testing.assert_close(training.ema["guess.weight"], state["ema"]["guess.weight"])
    next(iter(training))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01, rel=0.01)


def test_several_processes_train_together(trained):
    """The driver starts them. The process that saves has the gradients of all, and all stop together."""
    torch = pytest.importorskip("torch")
    before = torch.load(trained / "lm.pt", weights_only=True)
    minutes = (before["worked"] / 60 + 0.003) / 0.6  # the flow LM's share
    command = [sys.executable, SCRIPTS / "train.py", trained.parent, "--steps", "lm", "--minutes", str(minutes)]
    environment = os.environ | {"TORCH_COMPILE_DISABLE": "1"}
    options = ["--processes", "2", "--device", "cpu"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("lm: from step") == 1  # one of the two prints
    after = torch.load(trained / "lm.pt", weights_only=True)
    assert after["step"] > before["step"] and after["worked"] >= minutes * 0.6 * 60


def test_other_segmentations_keep_the_times(trained, monkeypatch, scripts):
    from corpus import Corpus, Tokenizer
    from utterances import SEGMENTATIONS, read_utterances, resegment

    corpus, tokenizer = Corpus(trained), Tokenizer(trained)
    usual, *_ = read_utterances(corpus, tokenizer, np.load(trained / "align.npy"), 0, 0)
    monkeypatch.setattr("utterances.DROPOUT", 1.0)  # letter by letter
    others = resegment(usual, tokenizer)
    assert len(others) == SEGMENTATIONS and len(others[0].tokens) > len(usual.tokens)
    for u in (usual, *others):
        letters = "".join(tokenizer.model.id_to_piece(int(t)) for t in u.tokens).replace("▁", "")
        assert letters.lower() == "somewordsarespokenhere."
        assert (np.diff(u.begins) >= 0).all() and set(u.begins) <= set(usual.letter_begins)
        assert u.begins[-1] == usual.letter_begins[-1]  # the full stop


def test_splices_keep_tokens_with_their_frames(trained, scripts):
    from corpus import Corpus, Tokenizer
    from utterances import read_utterances, splice

    corpus, tokenizer = Corpus(trained), Tokenizer(trained)
    whole = read_utterances(corpus, tokenizer, np.load(trained / "align.npy"), 0, 0)[:3]
    spliced = splice(whole, 30, tokenizer.starts_word, np.random.default_rng(0))
    assert len(spliced) >= 20
    for u in spliced:
        assert len(u.tokens) == len(u.begins) and (np.diff(u.begins) >= 0).all()
        assert u.begins[0] >= 0 and u.begins[-1] <= len(u.frames) and u.frames.max() < corpus.training_frames


def test_aligned_phones_are_in_the_order_of_the_sentence(trained, scripts):
    from corpus import Corpus
    from phonemes import read_phone_set

    corpus, names = Corpus(trained), read_phone_set(trained.parent)
    labels = np.load(trained / "phones.npy")
    assert labels.shape == (corpus.frames, 3)
    for start, end in zip(corpus.start, corpus.end, strict=True):
        heard = [names[label] for label in labels[start:end].ravel()]
        changes = [phone for phone, before in zip(heard, ["", *heard], strict=False) if phone != before]
        spoken = iter(PHONES.replace("|", "").split())
        assert changes[-1] == "sil" and len(changes) > 5
        assert all(phone in spoken for phone in changes if phone != "sil")  # a subsequence: short ones fall between


def test_sentences_without_recordings_teach_reading_only(trained, scripts):
    import torch
    from corpus import Corpus
    from lm import Learner, draw_noise, losses
    from training import load_yaml
    from utterances import Utterances

    synth = trained.parent / "synth"
    corpus = Corpus(synth)
    assert sorted(corpus.ids) == list(range(4, 10)) and not len(corpus.audio)
    assert len(np.load(synth / "latents.npy")) == len(np.load(synth / "phones.npy")) == corpus.frames
    utterances = Utterances([trained, synth], 2048)
    rows = torch.nonzero(utterances.recorded == 0)[:2, 0]
    size = utterances.sizes[-1]._replace(tokens=utterances.tokens.shape[1], frames=utterances.frames.shape[1])
    batch = utterances.batch(rows, size)
    learner = Learner(load_yaml(trained))
    x = learner.lm.normalize(batch.latents)
    with torch.no_grad():
        values = losses(learner, batch, x, draw_noise(x))
    assert float(values["phone"]) > 0 and float(values["attention"]) > 0
    assert float(values["fm"]) == float(values["guess"]) == float(values["eos"]) == 0


def test_codec_reconstructs_held_out_recordings_at_their_length(trained):
    samples, _ = soundfile.read(trained.parent / "codec" / "00097.wav")
    assert abs(len(samples) - soundfile.info(SPEECH / "him.ogg").frames) < 1920
    assert (trained.parent / "guess" / "00097.wav").exists()


def test_pytorch_equals_the_engine(trained, scripts):
    """PyTorch on whole sequences equals the engine in steps, with the exported weights and voices."""
    import torch
    from lm import Learner
    from model import Mimi
    from safetensors.torch import load_file
    from training import load_yaml

    from pockettts import TTSModel
    from pockettts.model.state import KVCache

    model = TTSModel.load(config=trained / "mini" / "mini.yaml", cache=False)
    tensors = {k: v.float() for k, v in load_file(trained / "mini" / "model.safetensors").items()}
    mimi = Mimi(load_yaml(trained)["mimi"])
    mimi.load_state_dict({k.removeprefix("mimi."): v for k, v in tensors.items() if k.startswith("mimi.")})
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 5 * 1920).astype(np.float32)
    with torch.no_grad():
        latents = mimi.latents(mimi.encoder(torch.from_numpy(samples)[None, None]))
        audio = mimi.decoder(mimi.features(latents))[0, 0].numpy()
    latents = np.ascontiguousarray(latents[0].T.numpy())
    np.testing.assert_allclose(model.voices.encoder.encode(samples), latents, atol=2e-4)
    np.testing.assert_allclose(model.decoder(latents, model.decoder.init_state()), audio, atol=2e-4)

    learner = Learner(load_yaml(trained)).eval()
    learner.lm.load_state_dict({k.removeprefix("flow_lm."): v for k, v in tensors.items() if k.startswith("flow_lm.")})
    learner.voices.weight.data = torch.load(trained / "lm_final.pt")["ema"]["voices.weight"].bfloat16().float()
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
    noise = rng.normal(0, 1, (1, 32)).astype(np.float32)
    with torch.no_grad():
        s, t = torch.full((1, 1), 0.25), torch.full((1, 1), 0.75)
        velocity = learner.lm.flow_net(torch.from_numpy(h), (s, t), torch.from_numpy(noise))
    np.testing.assert_allclose(model.flow_lm.flow_net(h, (0.25, 0.75), noise), velocity.numpy(), atol=2e-4)
