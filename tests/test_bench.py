"""The benchmark: random models have the official layout, and reports have every measure. No test depends on speed."""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_cli import assert_one_line, finish, here, run, start  # noqa: F401  fixtures among them

from pockettts import TTSModel, ops
from pockettts.bench import bench, random_model
from pockettts.bench.roofline import ModelWork
from pockettts.config.load import load_config, model_names
from pockettts.errors import PocketTTSError
from pockettts.weights.safetensors import read_safetensors

OFFICIAL_KEYS = {
    "append_terminal_punctuation",
    "capitalize_first_letter",
    "default_eos_threshold",
    "default_temperature",
    "flow_lm",
    "mimi",
    "model_recommended_frames_after_eos",
    "pad_with_spaces_for_short_inputs",
    "remove_semicolons",
    "replace_characters",
    "weights_path",
    "weights_path_without_voice_cloning",
}
GOLDEN = Path(__file__).parent / "data" / "golden"
SCRIPTS = Path(__file__).parent.parent / "scripts"
MINI = SCRIPTS / "train" / "mini.yaml"


@pytest.mark.parametrize("name", model_names())
def test_a_random_model_has_the_number_of_weights_of_the_real_one(name):
    config = load_config(name)
    assert sum(map(math.prod, random_model.shapes(config).values())) == config.parameters


@pytest.mark.parametrize("name", ["tiny", "tiny_pointwise", "tiny_flow_matching"])
def test_a_random_model_has_the_official_layout(name, tmp_path):
    config = load_config(GOLDEN / name / "config.yaml")
    path = random_model.write(config, tmp_path, "Hello there.")
    official, ours = (
        read_safetensors(file) for file in (GOLDEN / name / "model.safetensors", tmp_path / "weights.safetensors")
    )
    assert {name: (t.dtype, t.shape) for name, t in ours.items()} == {
        name: ("BF16", t.shape) for name, t in official.items()
    }
    assert set(yaml.safe_load(path.read_text())) == OFFICIAL_KEYS
    model = TTSModel.load(config=path)
    assert len(model.tokenizer.encode("Hello there.")) == 3
    sound = model.generate("Hello there.", tmp_path / "voice.safetensors", seed=1)
    assert np.isfinite(sound).all() and 0.001 < np.abs(sound).max() < 1000


def test_a_random_model_with_few_tokens_has_all_bytes_and_words(tmp_path):
    model = TTSModel.load(config=random_model.write(load_config(MINI), tmp_path, "Hello there."), cache=False)
    assert len(model.tokenizer.encode("Hello there.")) == 3 and len(model.tokenizer.encode("é")) == 2


def test_the_work_of_a_model_follows_from_its_shapes():
    config = load_config("english")
    model_work = ModelWork(config, "bf16")
    backbone = 6 * (3 + 1 + 4 + 4) * 1024**2  # in_proj, out_proj, linear1, linear2
    assert model_work.backbone(1, 0).flops == pytest.approx(2 * backbone, rel=0.01)
    assert model_work.backbone(1, 0).bytes == pytest.approx(1.5 * backbone, rel=0.01)  # 12 bits
    assert model_work.backbone(100, 150).flops == pytest.approx(100 * (2 * backbone + 4 * 6 * 1024 * 200), rel=0.01)
    assert ModelWork(config, "f32").backbone(1, 0).bytes == pytest.approx(4 * backbone, rel=0.01)
    assert ModelWork(config, "int8").backbone(1, 0).bytes == pytest.approx(backbone, rel=0.01)
    assert ModelWork(config, "int8").backbone(1, 0).int8 == pytest.approx(2 * backbone, rel=0.01)
    decoder, rounded = model_work.decoder(), ModelWork(config, "int8").decoder()
    assert decoder.flops == pytest.approx(0.52e9, rel=0.05)  # counted by hand, and by others
    transformer, upsampling = 16 * 2 * 12 * 512**2, 16 * 1024 * 1536 + 96 * 512 * 640 + 480 * 256 * 256
    blocks = (
        96 * (768 + 256) * 128 + 480 * (384 + 128) * 64 + 1920 * 32 * 64
    )  # but the last one's first, which is narrow
    assert rounded.int8 == 2 * (transformer + 16 * 512 * 7 * 512 + upsampling + blocks)
    assert rounded.int8 + rounded.flops == decoder.flops and rounded.bytes == pytest.approx(decoder.bytes / 2, rel=0.02)
    assert ModelWork(config, "int8").encoder(1) == model_work.encoder(1)


def test_every_measure_has_a_limit(run, tiny_model, monkeypatch):  # noqa: F811
    monkeypatch.setattr(bench, "ROUNDS", 1)
    code, out, err = run("bench", "--config", tiny_model, "--threads", "1", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert {
        "model",
        "precision",
        "threads",
        "isa",
        "cpu",
        "cores",
        "system",
        "rounds",
        "versions",
        "read",
        "multiply",
    } <= set(report)
    assert (report["precision"], report["threads"], report["isa"]) == ("bf16", 1, ops.ISA) and report["cpu"]
    assert set(report["measures"]) == set(bench.MEASURES)
    for row in [*report["measures"].values(), *report["read"].values(), *report["multiply"].values()]:
        assert 0 < row["min"] <= row["median"] <= row["max"] < math.inf
    for row in report["measures"].values():
        assert row["ratio"] == pytest.approx(row["median"] / row["limit"]) and row["bound"]
    assert report["openmp"] == ops.OPENMP and ("no OpenMP" in bench.table(report)) != ops.OPENMP
    assert "on one thread: the compiler that built them has no OpenMP" in bench.table(report | {"openmp": False})
    lines = bench.table(report).splitlines()
    assert all(any(line.startswith(f"| {what}") for line in lines) for what, *_ in bench.MEASURES.values())
    assert max(map(len, lines)) < 200


def test_concurrent_streams_are_compared_with_streams_in_turn(run, tiny_model, monkeypatch):  # noqa: F811
    monkeypatch.setattr(bench, "STREAM_ROUNDS", 1)
    monkeypatch.setattr(bench, "STREAMS", (1, 3))
    code, out, err = run("bench", "--streams", "--config", tiny_model, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert [row["streams"] for row in report["streams"]] == [1, 3]
    for row in report["streams"]:
        assert row["rtf"]["median"] > 0 and row["limit"] > 0 and row["late"]["median"] >= 0
        assert row["gain"]["median"] == pytest.approx(row["rtf_in_turn"]["median"] / row["rtf"]["median"])
        assert 0 < row["ttfa"]["median"] <= row["ttfa_last"]["median"]
        assert 0 < row["ttfa_in_turn"]["median"] <= row["ttfa_in_turn_last"]["median"]
    lines = bench.streams_table(report).splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["streams", "1", "3"] and max(map(len, lines)) < 140


def test_a_full_disk_is_one_line(tiny_model, here):  # noqa: F811
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    code, out, err = finish(start("bench", "--config", tiny_model, env={"TMPDIR": str(here)}, preexec_fn=limit))
    assert (code, out) == (1, b"")
    assert_one_line(err, "can't write", "TMPDIR")
    assert not list(here.iterdir())


def test_a_process_that_dies_is_an_error(tiny_model):
    with pytest.raises(PocketTTSError, match="no such file|voice.safetensors"):
        bench.speak_in_new_process(tiny_model, "bf16", 1)


def test_ctrl_c_leaves_nothing(tiny_model, here):  # noqa: F811
    process = start("bench", "--config", tiny_model, env={"TMPDIR": str(here)}, start_new_session=True)
    while not list(here.glob("*/*.yaml")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)  # a process that speaks is under way
    os.killpg(process.pid, signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (130, b"")
    assert_one_line(err, "interrupted")
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "script, wrong, said",
    [
        ("bench.py --against official", "--oracle nowhere/python", "not an executable"),
        ("bench.py --against official --oracle true", "--model nope", "`pockettts models`"),
        ("bench.py --against official", "--rounds 0", "whole number"),
        ("parity.py", "--oracle nowhere/python", "not an executable"),
        ("http_bench.py", "--variant nope", "`pockettts models`"),
        ("http_bench.py", "--streams 0", "whole number"),
        ("soak.py", "--requests 0", "whole number"),
        ("soak.py", "--clients 0", "whole number"),
    ],
)
def test_scripts_explain_wrong_arguments(script, wrong, said):
    name, *given = script.split()
    done = subprocess.run(
        [sys.executable, SCRIPTS / name, *given, *wrong.split()], capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (1, 2) and said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
