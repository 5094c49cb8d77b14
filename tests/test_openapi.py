"""/openapi.json against the server: whatever it allows is answered as it says, and whatever it forbids is refused."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import load, serving

from pockettts.server.app import openapi


def operations(limits):
    """What the description offers, with lower maxima of some options of speech."""
    description = json.loads(openapi())
    for body in ("Speech", "OpenAISpeech"):
        for option, most in limits.items():
            description["components"]["schemas"][body]["properties"][option]["maximum"] = most
    return [found.ok() for found in schemathesis.openapi.from_dict(description).get_all_operations()]


ALLOWED, FORBIDDEN = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
CASES = [
    (operation, ALLOWED) for operation in operations({"lsd_steps": 4, "lsd_decode_steps": 4, "frames_after_eos": 20})
]
CASES += [(operation, FORBIDDEN) for operation in operations({})]
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    with serving(load(tiny_model), voices_dir=tmp_path_factory.mktemp("voices"), allow_uploads=True) as server:
        yield server


@pytest.mark.parametrize(
    "operation, mode",
    CASES,
    ids=[f"{case.label}-{'allowed' if mode is ALLOWED else 'forbidden'}" for case, mode in CASES],
)
def test_the_server_does_as_it_says(operation, mode, server):
    @QUICK
    @given(operation.as_strategy(generation_mode=mode))
    def check(case):  # which voices there are, a schema does not say
        case.call_and_validate(base_url=server.url, excluded_checks=[positive_data_acceptance])

    if mode is ALLOWED or operation.method == "post":
        check()
