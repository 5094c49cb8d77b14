import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_server import HubServer

from pockettts.errors import DownloadError, GatedError
from pockettts.storage import hub as hub_module
from pockettts.storage.hub import is_cached, local_path, local_path_or_open

GATED, OPEN = "kyutai/pocket-tts", "kyutai/pocket-tts-without-voice-cloning"
DATA = bytes(range(256)) * 4000


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as server:
        server.point(monkeypatch, tmp_path)
        yield server


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def run(hub, home, code, **env):
    """Run Python code in a new process, where huggingface_hub reads the environment at import."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", "from pockettts.storage.hub import *\n" + code]
    return subprocess.run(command, env=hub.env(home, **env), cwd=root, capture_output=True, text=True, timeout=60)


# the hub


def test_a_pinned_file_is_downloaded_once(hub):
    commit = hub.add(OPEN, "languages/english/model.safetensors", DATA)
    source = f"hf://{OPEN}/languages/english/model.safetensors@{commit}"
    assert not is_cached(source)
    path = local_path(source)
    assert path.read_bytes() == DATA and path.suffix == ".safetensors"
    assert is_cached(source)
    hub.requests.clear()
    assert local_path(source) == path and hub.requests == []


def test_a_pinned_file_never_changes(hub):
    old = hub.add(OPEN, "voice.wav", b"old")
    new = hub.add(OPEN, "voice.wav", b"new")
    assert local_path(f"hf://{OPEN}/voice.wav@{old}").read_bytes() == b"old"
    assert local_path(f"hf://{OPEN}/voice.wav@{new}").read_bytes() == b"new"


@pytest.mark.parametrize("revision", ["", "@main", "@refs/pr/1"])
def test_a_file_without_a_commit_is_requested_again(hub, revision):
    branch = revision[1:] or "main"
    source = f"hf://{OPEN}/voice.wav{revision}"
    hub.add(OPEN, "voice.wav", b"old", branch.replace("/", "%2F"))
    assert local_path(source).read_bytes() == b"old"
    assert is_cached(source)
    hub.add(OPEN, "voice.wav", b"new", branch.replace("/", "%2F"))
    assert local_path(source).read_bytes() == b"new"


@pytest.mark.parametrize("trouble", ["gone", 404, 403, 503])
def test_a_file_without_a_commit_comes_from_the_cache_when_the_hub_fails(hub, trouble):
    hub.add(OPEN, "voice.wav", DATA)
    path = local_path(f"hf://{OPEN}/voice.wav")
    if trouble == "gone":
        hub.close()
    else:
        hub.fail = trouble
    start = time.monotonic()
    assert local_path(f"hf://{OPEN}/voice.wav") == path
    assert time.monotonic() - start < 3


def test_the_cache_is_shared_with_the_hub_client(hub):
    from huggingface_hub import hf_hub_download

    commit = hub.add(OPEN, "voices/alba.safetensors", DATA)
    theirs = hf_hub_download(OPEN, "voices/alba.safetensors")
    hub.requests.clear()
    assert local_path(f"hf://{OPEN}/voices/alba.safetensors@{commit}") == Path(theirs) and hub.requests == []


@pytest.mark.parametrize("status", [401, 403])
def test_gated_files_give_advice(hub, status):
    hub.add(GATED, "model.safetensors", DATA)
    hub.gated[GATED] = status
    with pytest.raises(GatedError) as error:
        local_path(f"hf://{GATED}/model.safetensors")
    for part in (str(status), f"https://huggingface.co/{GATED}", "hf auth login", "HF_TOKEN"):
        assert part in one_line(error)


def test_the_users_token_opens_a_gated_file(hub, monkeypatch):
    hub.add(GATED, "model.safetensors", DATA)
    hub.gated[GATED] = 401
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert local_path(f"hf://{GATED}/model.safetensors").read_bytes() == DATA


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        (f"hf://{OPEN}/nope.wav", "no file nope.wav"),
        (f"hf://{OPEN}/voice.wav@v9", "no revision v9"),
        ("hf://nobody/nothing/voice.wav", "no such repository"),
    ],
)
def test_missing_files_on_the_hub_are_reported(hub, source, missing):
    hub.add(OPEN, "voice.wav", DATA)
    with pytest.raises(DownloadError) as error:
        local_path(source)
    assert missing in one_line(error) and source in one_line(error)
    assert not isinstance(error.value, GatedError)


@pytest.mark.parametrize(
    "source",
    [
        "hf://", "hf://kyutai", "hf://kyutai/repo", "hf://kyutai/repo/", "hf:///repo/file", "hf://a/b/c@", "hf://a/b/c@d@e",
        "hf://a/b/../../c", "hf://a/b/c@../../d", "hf://../b/c", "hf://a/b//c", "hf://a b/c/d", "hf://a/b/c\\d",
        "ftp://example.org/x.wav", "http://example.org/x.wav", "https://", "https://[x/y.wav", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_a_malformed_address_is_refused_without_a_request(hub, source):
    for function in (local_path, is_cached):
        with pytest.raises(DownloadError) as error:
            function(source)
        assert source in one_line(error) and "hf://" in one_line(error)
    assert hub.requests == []


@pytest.mark.parametrize("cut", [1, 3])
def test_a_broken_connection_is_resumed(hub, cut):
    source = f"hf://{OPEN}/model.safetensors@{hub.add(OPEN, 'model.safetensors', DATA)}"
    hub.cut = cut
    while (
        hub.cut
    ):  # current clients resume by themselves; those before 1.1 fail, and must leave no file that looks complete
        try:
            local_path(source)
        except DownloadError:
            assert not is_cached(source)
    assert local_path(source).read_bytes() == DATA


def test_a_failed_download_leaves_nothing(hub, monkeypatch):
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    source = f"hf://{OPEN}/model.safetensors@{hub.add(OPEN, 'model.safetensors', b'x')}"
    hub.cut = 1000
    with pytest.raises(DownloadError) as error:
        local_path(source)
    assert "network" in one_line(error) and not is_cached(source)
    hub.cut = 0
    assert local_path(source).read_bytes() == b"x"


def test_a_full_disk_is_one_line(hub, monkeypatch):
    from huggingface_hub import file_download

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.add(OPEN, "model.safetensors", DATA)
    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(DownloadError, match="disk is full"):
        local_path(f"hf://{OPEN}/model.safetensors")


def test_no_network_is_detected_quickly(hub, monkeypatch):
    hub.add(OPEN, "model.safetensors", DATA)
    hub.fail = 503
    start = time.monotonic()
    with pytest.raises(DownloadError, match="503; try again later"):
        local_path(f"hf://{OPEN}/model.safetensors")
    hub.fail, hub.delay = 0, 2
    monkeypatch.setattr(hub_module, "_HEAD_SECONDS", 0.2)
    with pytest.raises(DownloadError, match="check the network.*pockettts download"):
        local_path(f"hf://{OPEN}/model.safetensors")
    assert time.monotonic() - start < 2


# the environment, in new processes


def test_offline_mode_uses_the_cache_without_requests(hub, tmp_path):
    commit = hub.add(OPEN, "voice.wav", DATA)
    page = hub.add_page("voice.wav", DATA)
    sources = [f"hf://{OPEN}/voice.wav@{commit}", f"hf://{OPEN}/voice.wav", page]
    code = f"for source in {sources}: print(local_path(source))"
    online = run(hub, tmp_path / "home", code)
    hub.requests.clear()
    offline = run(hub, tmp_path / "home", code, HF_HUB_OFFLINE="1")
    assert online.returncode == 0 and offline.stdout == online.stdout and len(offline.stdout.split()) == 3
    assert hub.requests == []
    for source in sources:
        empty = run(hub, tmp_path / "empty", f"local_path({source!r})", HF_HUB_OFFLINE="1")
        last = empty.stderr.splitlines()[-1]
        assert "DownloadError" in last and source in last and "HF_HUB_OFFLINE" in last and "pockettts download" in last
    assert hub.requests == []


def test_only_our_message_is_printed(hub, tmp_path):
    hub.add(OPEN, "voice.wav", DATA)
    done = run(hub, tmp_path, f"local_path('hf://{OPEN}/voice.wav')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_cached_files_do_not_import_the_hub_client(hub, tmp_path):
    commit = hub.add(OPEN, "voice.wav", DATA)
    code = f"local_path('hf://{OPEN}/voice.wav@{commit}')\nimport sys; print('huggingface_hub.utils' in sys.modules)"
    assert [run(hub, tmp_path, code).stdout for _ in range(2)] == ["True\n", "False\n"]


# weights that are gated, or open


@pytest.fixture
def weights(hub):
    pin = {repo: hub.add(repo, "model.safetensors", repo.encode()) for repo in (GATED, OPEN)}
    hub.gated[GATED] = 403
    return [f"hf://{repo}/model.safetensors@{pin[repo]}" for repo in (GATED, OPEN)]


def test_gated_weights_are_preferred_if_allowed(hub, weights, monkeypatch):
    path, can_clone = local_path_or_open(*weights)
    assert path.read_text() == OPEN and not can_clone
    hub.requests.clear()
    assert local_path_or_open(*weights) == (path, False) and hub.requests == []  # cached: nobody is asked
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert local_path_or_open(*weights) == (path, False)
    path, can_clone = local_path_or_open(*weights, ask=True)
    assert path.read_text() == GATED and can_clone
    hub.requests.clear()
    assert local_path_or_open(*weights) == (path, True) and hub.requests == []


def test_without_permission_the_open_weights_stay(hub, weights):
    path, _ = local_path_or_open(*weights)
    assert local_path_or_open(*weights, ask=True) == (path, False)
    hub.fail = 503
    assert local_path_or_open(*weights, ask=True) == (path, False)


def test_no_weights_and_no_network(hub, weights):
    hub.fail = 503
    with pytest.raises(DownloadError) as error:
        local_path_or_open(*weights)
    assert OPEN in one_line(error)


def test_gated_weights_without_open_ones(hub, weights):
    with pytest.raises(GatedError):
        local_path_or_open(weights[0], None)


# the web


def test_a_web_file_is_downloaded_once_and_keeps_its_suffix(hub):
    url = hub.add_page("a%20b/voice.wav", DATA) + "?x=1"
    assert not is_cached(url)
    path = local_path(url)
    assert path.read_bytes() == DATA and path.suffix == ".wav" and is_cached(url)
    hub.requests.clear()
    assert local_path(url) == path and hub.requests == []
    assert not is_cached(url + "2")


def test_an_interrupted_web_file_is_not_kept(hub, tmp_path):
    url = hub.add_page("voice.wav", DATA)
    hub.cut = 1
    with pytest.raises(DownloadError) as error:
        local_path(url)
    assert f"only {len(DATA) // 2} of {len(DATA)} bytes" in one_line(error)
    assert not is_cached(url) and not [f for f in (tmp_path / "assets").rglob("*") if f.is_file()]
    assert local_path(url).read_bytes() == DATA


@pytest.mark.parametrize(("status", "advice"), [(404, "check the address"), (403, "check the address"), (500, "later")])
def test_a_web_error_is_one_line(hub, status, advice):
    url = hub.add_page("voice.wav", DATA)
    hub.fail = status
    with pytest.raises(DownloadError) as error:
        local_path(url)
    assert f"{url}: the server answered {status}; " in one_line(error) and advice in one_line(error)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space, or set HF_HOME"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "can't write to the cache .*'/x'.*; set HF_HOME"),
    ],
)
def test_a_cache_that_can_not_be_written_is_one_line(hub, monkeypatch, error, message):
    def fail(_):
        raise error

    monkeypatch.setattr(hub_module, "whole_file", fail)
    with pytest.raises(DownloadError, match=message):
        local_path(hub.add_page("voice.wav", DATA))


def test_an_unreachable_web_server(hub):
    with pytest.raises(DownloadError, match="download failed.*check the network"):
        local_path("http://127.0.0.1:9/voice.wav")


def test_only_allowed_redirects_are_followed(hub):
    hub.redirects["here"] = hub.add_page("voice.wav", DATA)
    hub.redirects["there"] = "http://example.org/voice.wav"
    assert local_path(f"{hub.address}/web/here").read_bytes() == DATA
    with pytest.raises(DownloadError, match="http://example.org/voice.wav: not an address"):
        local_path(f"{hub.address}/web/there")
    with pytest.raises(DownloadError):
        hub_module._check_url(hub.address, secure=True)  # where an https:// server may not send us


# paths


def test_a_path_is_unchanged(tmp_path):
    file = tmp_path / "voice@1.wav"
    assert not is_cached(file)
    file.write_bytes(DATA)
    assert local_path(file) == local_path(str(file)) == file and is_cached(file)


def test_an_invalid_path(tmp_path):
    for path, message in [(tmp_path / "x.wav", "no such file"), (tmp_path, "not a file"), ("", "no such file")]:
        with pytest.raises(DownloadError, match=message):
            local_path(path)
    with pytest.raises(DownloadError, match="no such file"):
        local_path("x\0y")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_path(tmp_path):
    (tmp_path / "voice.wav").touch(mode=0)
    with pytest.raises(DownloadError, match="permissions"):
        local_path(tmp_path / "voice.wav")


def test_progress_can_be_silenced(hub, monkeypatch):
    from huggingface_hub import utils

    monkeypatch.setattr(hub_module, "_progress", True)
    calls = []
    monkeypatch.setattr(utils, "disable_progress_bars", lambda: calls.append(1))
    url = hub.add_page("voice.wav", DATA)
    hub.add(OPEN, "voice.wav", DATA)
    hub_module.show_progress(False)
    local_path(url), local_path(f"hf://{OPEN}/voice.wav")
    assert calls == [1, 1]
