"""Shared fixtures: the golden models, which are tiny and have the official layout and random weights."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "data" / "golden"
SPEECH = Path(__file__).parent / "data" / "speech"  # 5 seconds of a woman and of a man, synthetic


def pytest_xdist_auto_num_workers():
    """One more process than there are cores, since many tests wait for a server or a child process; at most 4."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.fixture(scope="session", autouse=True)
def assets(tmp_path_factory):
    """Cache packed weights and voices in a temporary folder for this run. There are no own voices."""
    from pockettts.storage import hub

    folder = tmp_path_factory.mktemp("assets")
    with hub.assets_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKETTTS_VOICES", str(tmp_path_factory.mktemp("voices")))
        yield folder


@pytest.fixture(autouse=True)
def process_state(monkeypatch):
    """Restore the process-wide settings that the command changes if a test runs it in this process."""
    monkeypatch.setattr("pockettts.storage.hub._progress", True)
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The config of a model that loads and speaks very fast: like `english`, but tiny. It can clone voices."""
    return GOLDEN / "tiny" / "config.yaml"


@pytest.fixture(scope="session")
def following_model(tiny_model, tmp_path_factory):
    """Makes the config of a model whose first head looks, at frame t, at token t + `skipped` of a text of so many tokens.

    The first layer's norm gives the same vector whatever comes, so that only RoPE tells positions apart: the query is turned so far
    that it meets the key which stands as many positions back as the text has tokens.
    """
    from safetensors.numpy import save_file

    from pockettts.weights.safetensors import read_safetensors

    def make(tokens, skipped=0, heads="[[0, 0]]"):
        folder = tmp_path_factory.mktemp("following")
        tensors = {
            name: tensor.float32().copy()
            for name, tensor in read_safetensors(tiny_model.parent / "model.safetensors").items()
        }
        layer = "flow_lm.transformer.layers.0."
        tensors[layer + "norm1.weight"][:] = 0
        tensors[layer + "norm1.bias"][:] = np.eye(32, dtype=np.float32)[0]
        w = tensors[layer + "self_attn.in_proj.weight"]  # [q, k and v of 4 heads of 8, 32]
        w[:] = 0
        angle = -0.01 * (tokens - skipped)  # of the third pair, which turns by 0.01 a position
        w[4:6, 0] = 1000 * np.array([np.cos(angle), np.sin(angle)])
        w[32 + 4, 0] = 1000
        save_file(tensors, folder / "model.safetensors")
        (folder / "tokenizer.model").write_bytes((tiny_model.parent / "tokenizer.model").read_bytes())
        (folder / "config.yaml").write_text(tiny_model.read_text() + f"alignment_heads: {heads}\n" * bool(heads))
        return folder / "config.yaml"

    return make
