"""Three tiny models, compared with the official package's results, at every stage and for whole sentences.

`python scripts/oracle.py golden tests/data/golden` writes the files. Differences are about 1e-6 of a stage's largest value.
`make parity` measures them with models of real sizes.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from parity import STAGES, differences, ours  # noqa: E402

from pockettts import TTSModel  # noqa: E402

LIMIT = 1e-5
MODELS = sorted(folder.name for folder in GOLDEN.iterdir())


@pytest.mark.parametrize("model", MODELS)
def test_every_stage(model):
    official = dict(np.load(GOLDEN / model / "dump.npz"))
    values = ours(GOLDEN / model, official)
    np.testing.assert_array_equal(values["ids"], official["ids"])
    found = differences(values, official)
    assert set(found) == set(STAGES) & set(official)
    assert all(d < LIMIT for d in found.values()), found  # no NaN either

    widened = ours(GOLDEN / model, official, precision="f32")  # the files are bf16: that loses nothing
    for stage, value in values.items():
        np.testing.assert_array_equal(widened[stage], value)


def test_speech_ends_by_eos_and_by_the_length_limit():
    """The golden sentences cover both."""
    lengths = [np.load(GOLDEN / model / "dump.npz")["lengths"] for model in MODELS if model != "tiny"]
    limit = 42 * 640  # frames for four tokens and two seconds
    assert all(max(pair) == limit and min(pair) < limit for pair in lengths)


def test_eos_is_ignored_in_the_first_frames(tiny_model):
    model = TTSModel.load(config=tiny_model, temperature=0, eos_threshold=-1e9)
    prompt = np.load(tiny_model.parent / "dump.npz")["prompt"]
    assert len(model.generate("Yes", prompt)) == (6 + 5) * 1920  # six frames, and the five after EOS of a short text
    assert len(model.generate("Yes", prompt, frames_after_eos=0)) == 6 * 1920


SPEAK = """
import sys
from pockettts import TTSModel
model = TTSModel.load("mini", temperature=0.3)
sys.stdout.buffer.write(model.generate("Yes, it is.", "heart", seed=1).tobytes())
"""
DISPATCHED = """
try:
    from numpy._core import _multiarray_umath as numpy
except ImportError:
    from numpy.core import _multiarray_umath as numpy
print(*[name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__.get(name)])
"""


def test_the_samples_do_not_depend_on_the_instructions_that_numpy_uses():
    """So that CPUs with the same build of the kernels give the same bytes. NumPy's float32 cosines, for example, depend on the CPU."""

    def python(program, **environment):
        return subprocess.run(
            [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, check=True
        ).stdout

    features = python(DISPATCHED).decode().strip()
    assert python(SPEAK) == python(SPEAK, NPY_DISABLE_CPU_FEATURES=features)


def test_the_golden_files_are_small():
    assert sum(file.stat().st_size for file in GOLDEN.rglob("*")) < 1_000_000
