"""The order of imports: they point down and never up, between packages and within each package."""

import ast
from pathlib import Path

import pytest

import pockettts

PACKAGE = Path(pockettts.__file__).parent

# From the top down. A name is a package or a module of `pockettts`.
ORDER = [
    "__main__", "cli", "bench", "server", "books", "engine", "tts", "official", "pipeline", "schedule", "words", "synthesis",
    "default", "voices", "sound", "reading", "weights", "config", "storage", "model", "ops", "options", "errors",
    "__init__", "_ops",
]  # fmt: skip

# Within a package, from the top down. Modules that are not listed must not import each other.
INSIDE = {
    "bench": ["bench", "roofline", "random_model"],
    "books": ["production", "batch", "cluster", "worker", "plan", "resume", "speaker"],
    "cli": ["generate", "books", ..., "progress", "common"],
    "config": ["load", "schema", "parse"],
    "model": [
        "mimi", "seanet", "conv", "flow_lm", "samplers", "flow_net", "transformer", "attention", "state", "layers", "shapes",
        "__init__",
    ],  # fmt: skip
    "reading": [
        "documents", "epub", "pdf", "word", "markup", "blocks", "plain", "encodings", "subtitles", "chunks", "normalize", "word_forms",
        "written_forms", "addresses", "signs", "voice_marks", "pauses", "inline_markup", "sentences", "context", "lexicon", "languages", "unicode",
        "neighbors", "roman", "tokenizer",
    ],  # fmt: skip
    "server": [
        "__init__", "discovery", "wyoming", "wsgi", "app", "middleware", "responses", "requests", "metrics", "models", "voices",
        "remote", "errors", "settings",
    ],  # fmt: skip
    "sound": ["play", "files", "decode", "encode", "tags", "loudness", "formats", "quality", "stretch"],
    "storage": ["hub", "files"],
    "voices": ["loader", "folders", "cache", "catalog", "state"],
    "weights": ["cache", "packed", "training_names", "safetensors"],
    "words": ["timestamps", "alignment"],
}  # fmt: skip

# The graph is arithmetic: no files, threads, hub or logging.
MODEL_MAY = {"numpy", "math", "functools", "typing", "collections", "dataclasses"}

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imports(path):
    """For each import of a file: (package or module of pockettts, module within it or None), or (None, top-level name) for others."""
    here = ["pockettts", *path.parent.parts]
    for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("pockettts"), f"{path}: import {alias.name} by its place, with dots"
                yield None, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                assert not node.module.startswith("pockettts"), f"{path}: import {node.module} by its place, with dots"
                yield None, node.module.split(".")[0]
                continue
            base = here[: len(here) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                target = [*base, alias.name]
                if not is_ours(target):
                    target = base
                yield target[1] if len(target) > 1 else "__init__", target[2] if len(target) > 2 else None


def is_ours(target):
    place = PACKAGE.joinpath(*target[1:])
    return place.is_dir() or place.with_suffix(".py").is_file() or place.with_suffix(".pyx").is_file()


def test_every_module_is_in_the_order():
    tops = {path.parts[0].removesuffix(".py") for path in MODULES}
    assert tops | {"_ops"} == set(ORDER)
    for package, order in INSIDE.items():
        if ... not in order:
            assert {module_of(path) for path in MODULES if path.parts[0] == package} - {"__init__"} == set(order) - {
                "__init__"
            }


def module_of(path):
    """A module's name within its package. A subpackage counts as one module."""
    return path.parts[1] if len(path.parts) > 2 else path.stem


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path):
    top = path.parts[0].removesuffix(".py")
    for target, inner in imports(path):
        if target is None:
            assert top != "model" or inner in MODEL_MAY, f"{path} imports {inner}"
        elif target != top:
            assert ORDER.index(target) > ORDER.index(top), f"{path} imports {target}, which is above it"
            assert top != "model" or target == "ops", f"{path} imports {target}"
        elif inner is not None and not (len(path.parts) > 2 and inner == path.parts[1]):
            order, module = INSIDE[top], module_of(path)
            place = order.index(module if module in order else ...)
            assert inner in order[place + 1 :], f"{path} imports {inner}, which is not below it"
