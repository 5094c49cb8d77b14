"""The documents: every `sh` and `python` block runs as it is written, and every link has a target.

Commands use the bundled model, without a network. Audio players are replaced by scripts that read the sound.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pockettts.cli import serve
from pockettts.server.app import openapi
from pockettts.server.requests import SPEECH_OPTIONS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
INSTALL = re.compile(r"pip install|^make |^sudo |^apt |^brew ", re.M)  # run by CI itself, in an environment of its own
BOOK = "# One\n\nThe first chapter.\n\n# Two\n\nThe second one.\n"


def blocks(kind):
    for path in DOCUMENTS:
        for match in BLOCK.finditer(path.read_text("utf-8")):
            if match[1] == kind and not INSTALL.search(match[2]):
                line = path.read_text("utf-8")[: match.start()].count("\n") + 1
                yield pytest.param(match[2], id=f"{path.name}:{line}")


@pytest.fixture
def place(tmp_path):
    """A folder with the input files of the commands, and an environment without a network."""
    (tmp_path / "chapter.txt").write_text("A short chapter.")
    (tmp_path / "book.md").write_text(BOOK)
    for name, script in {
        "pockettts": f'exec {sys.executable} -m pockettts "$@"',
        "aplay": "cat > /dev/null",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "POCKETTTS_"))}
    env |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    return tmp_path, env | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("block", [*blocks("sh")])
def test_commands(place, block):
    folder, env = place
    if "pockettts serve" in block:
        pytest.skip("a server does not end")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [*blocks("python")])
def test_python(place, block):
    folder, env = place
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links(path):
    prose = re.sub(r"```.*?```|`[^`\n]*`(?!\])", "", path.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_serving_documents_everything():
    """Each route, field and option is in docs/serving.md, and it names no option that does not exist."""
    text = (ROOT / "docs" / "serving.md").read_text("utf-8")
    routes = {(method.upper(), path) for path, item in json.loads(openapi())["paths"].items() for method in item}
    assert set(re.findall(r"^(?:\|.*?)?`(GET|POST|DELETE) (/[^`?]*)`", text, re.M)) <= routes
    assert [f"{m} {p}" for m, p in sorted(routes) if f"`{m} {p}`" not in text] == []
    assert [name for name in SPEECH_OPTIONS if f"`{name}`" not in text] == []
    parser = argparse.ArgumentParser(add_help=False)
    serve.add_options(parser)
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    assert [name for action in shown for name in action.option_strings if f"`{name}" not in text] == ["-v"]
    others = {"--name", "--quiet", "--debug", "--help"}
    known = {name for action in shown for name in action.option_strings} | others
    assert set(re.findall(r"`[^`\n]*?(--[a-z-]+)", text)) <= known
