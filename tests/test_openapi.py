"""The server conforms to /openapi.json: it accepts what the description allows and rejects everything else."""

import json
import re
from types import SimpleNamespace

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import load, serving

from pockettts.options import Options
from pockettts.server import requests as server_requests
from pockettts.server.app import openapi
from pockettts.server.settings import Settings

DESCRIPTION = json.loads(openapi())


def operations(mode):
    """The operations of the description. A thousand steps are allowed, but take too long: allowed requests have at most 8."""
    description = json.loads(openapi())
    for schema in description["components"]["schemas"].values() if mode is GenerationMode.POSITIVE else ():
        for option in {"lsd_steps", "lsd_decode_steps"} & set(schema.get("properties", ())):
            schema["properties"][option]["maximum"] = 8
    return [found.ok() for found in schemathesis.openapi.from_dict(description).get_all_operations()]


QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    with serving(load(tiny_model), voices_dir=tmp_path_factory.mktemp("voices"), allow_uploads=True) as server:
        yield server


@pytest.mark.parametrize(
    ("mode", "operation"),
    [
        pytest.param(mode, operation, id=f"{operation.label}-{name}")
        for mode, name in ((GenerationMode.POSITIVE, "allowed"), (GenerationMode.NEGATIVE, "forbidden"))
        for operation in operations(mode)
    ],
)
def test_the_server_conforms_to_its_description(mode, operation, server):
    @QUICK
    @given(operation.as_strategy(generation_mode=mode))
    def check(case):  # which voices there are, a schema does not say
        case.call_and_validate(base_url=server.url, timeout=60, excluded_checks=[positive_data_acceptance])

    if mode is GenerationMode.POSITIVE or operation.method == "post":
        check()


def test_it_lists_all_routes(server):
    described = {(method.upper(), path) for path, item in DESCRIPTION["paths"].items() for method in item}
    routes = {(route.method, re.sub(r"<\w+(:path)?>", "{}", route.rule)) for route in server.app.bottle.routes}
    assert {(method, re.sub(r"{\w+}", "{}", path)) for method, path in described} == routes - {("GET", "/static/{}")}


class Fields(dict):
    """A body that records which fields were read."""

    def __init__(self, fields):
        super().__init__(fields)
        self.read = set()

    def get(self, name, default=None):
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.read.add(name)
        return super().__contains__(name)

    def __or__(self, more):
        return self

    def items(self):
        return [(name, self[name]) for name in self]


@pytest.mark.parametrize(
    ("schema", "reader"),
    [
        ("Speech", server_requests.from_json),
        ("SpeechForm", server_requests.from_form),
        ("OpenAISpeech", server_requests.from_openai),
        ("CaptionedSpeech", server_requests.from_captioned),
    ],
)
def test_it_lists_all_fields(schema, reader, monkeypatch):
    described = set(DESCRIPTION["components"]["schemas"][schema]["properties"])
    body, files = Fields({name: "Hi." for name in described & {"text", "input"}}), Fields({})
    monkeypatch.setattr(server_requests, "_json", lambda request: body)
    monkeypatch.setattr(server_requests, "_form", lambda request: body)
    reader(SimpleNamespace(files=files), Settings(), lambda model: Options(temperature=0, eos_threshold=0))
    assert described == body.read | files.read
