"""The limits of options, and options of a text that override the model's."""

import numpy as np
import pytest

from pockettts.errors import OptionError
from pockettts.options import NUMBERS, Options

OWN = Options(temperature=0.7, eos_threshold=-4)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=lambda number: number.name)
def test_limits(number):
    for value in (number.minimum, number.maximum):
        assert number.check(value) == value and type(number.check(value)) is number.kind
    for value in (
        number.minimum - 1,
        number.maximum + max(1, abs(number.maximum)),
        float("nan"),
        float("inf"),
        "1",
        None,
        True,
        [1],
        10**400,
    ):
        with pytest.raises(
            OptionError, match=f"^{number.name} .{{1,24}}: give a .*number from {number.minimum} to {number.maximum}$"
        ):
            number.check(value)


def test_numbers_of_other_kinds():
    assert NUMBERS["max_tokens"].check(20.0) == NUMBERS["max_tokens"].check(np.int64(20)) == 20
    assert NUMBERS["temperature"].check(np.float32(0.5)) == NUMBERS["temperature"].check(np.float64(0.5)) == 0.5
    with pytest.raises(OptionError, match="max_tokens 20.5: give a whole number"):
        NUMBERS["max_tokens"].check(20.5)


def test_only_given_options_change():
    assert OWN.replace() == OWN.replace(seed=None, temperature=None) == OWN
    changed = OWN.replace(temperature=0, seed=3, noise_clamp=np.float32(2))
    assert (changed.temperature, changed.seed, changed.noise_clamp, changed.max_tokens) == (0, 3, 2, 50)
    assert changed.replace(max_tokens=7).temperature == 0 and OWN.temperature == 0.7


def test_rejected_options():
    with pytest.raises(OptionError, match="temperature 11: give a number from 0 to 10"):
        Options(temperature=11, eos_threshold=0)
    with pytest.raises(OptionError, match="seed -1"):
        OWN.replace(seed=-1)
    with pytest.raises(OptionError, match="max_tokens None"):
        Options(temperature=1, eos_threshold=0, max_tokens=None)
    with pytest.raises(TypeError, match="heat"):
        OWN.replace(heat=1)
