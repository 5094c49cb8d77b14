"""/openapi.json against the server: whatever it allows is answered as it says, and whatever it forbids is refused."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import load, serving

from pockettts.server.app import openapi

DESCRIPTION = json.loads(openapi())
for schema in DESCRIPTION["components"]["schemas"].values():
    for option in ("lsd_steps", "lsd_decode_steps"):  # a thousand steps are allowed, but take too long here
        if option in schema.get("properties", ()):
            schema["properties"][option]["maximum"] = 8
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()]
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    with serving(load(tiny_model), voices_dir=tmp_path_factory.mktemp("voices"), allow_uploads=True) as server:
        yield server


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "forbidden"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_the_server_does_as_it_says(operation, mode, server):
    @QUICK
    @given(operation.as_strategy(generation_mode=mode))
    def check(case):  # which voices there are, a schema does not say
        case.call_and_validate(base_url=server.url, timeout=60, excluded_checks=[positive_data_acceptance])

    if mode is GenerationMode.POSITIVE or operation.method == "post":
        check()
