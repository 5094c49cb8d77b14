"""Streamed responses: latency of blocks, disconnecting and slow clients, and shutdown of the server."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import requests
from serving import HUM, LONG, connect, load, post, read_until, serving, wait_for

from pockettts.errors import BusyError
from pockettts.server import responses
from pockettts.sound.encode import pcm16

BLOCK = np.full(1920, 0.25, np.float32)
FOREVER = json.dumps({"text": LONG, "eos_threshold": 1e9}).encode()


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


class Script:
    """A stream of the engine that sends what the test puts into it: blocks, an exception, or None for the end."""

    rtf = 0.5

    def __init__(self):
        self.blocks, self.closed = queue.Queue(), threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        block = self.blocks.get(timeout=20)
        if isinstance(block, Exception):
            raise block
        if block is None or self.closed.is_set():
            raise StopIteration
        return block

    def close(self):
        self.closed.set()
        self.blocks.put(None)


@pytest.fixture
def server(model):
    with serving(model, max_streams=2, max_queue=1) as server:
        yield server


@pytest.fixture
def script(server, monkeypatch):
    script = Script()
    monkeypatch.setattr(server.engine, "submit", lambda *_: script)
    return script


@pytest.mark.parametrize(
    "path, body",
    [
        ("/stream", {"text": "Hi."}),
        ("/v1/audio/speech", {"input": "Hi.", "response_format": "wav", "stream_format": "audio"}),
        ("/v1/audio/speech", {"input": "Hi.", "stream_format": "sse", "response_format": "pcm"}),
    ],
)
def test_each_block_leaves_before_the_next_is_made(server, script, path, body):
    connection = connect(server, post(path, json.dumps(body).encode()))
    heard = b""
    for n in range(1, 6):
        script.blocks.put(BLOCK * n)
        needle = pcm16(BLOCK * n) if body.get("stream_format") != "sse" else b"data: "
        heard = read_until(connection, needle)  # it waits for ever if the block stays inside until there are more
        assert needle in heard
    script.blocks.put(None)
    assert read_until(connection, b"0\r\n\r\n").endswith(b"0\r\n\r\n")


def test_nothing_is_sent_before_there_is_sound(server, script):
    connection = connect(server, post("/stream", b'{"text": "Hi."}'))
    connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    script.blocks.put(BusyError("stopping: try again"))
    connection.settimeout(20)
    assert read_until(connection, b"again").startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("path", ["/stream", "/generate", "/v1/audio/speech"])
def test_a_disconnect_before_the_first_sound_is_detected(server, script, path):
    connection = connect(server, post(path, b'{"text": "Hi.", "input": "Hi."}'))
    wait_for(lambda: server.app.responses._live)
    connection.close()
    assert script.closed.wait(20)
    wait_for(lambda: not server.app.responses._live)


def test_a_disconnect_frees_the_slot(server, model):
    connections = []
    for _ in range(2):
        connections.append(connect(server, post("/stream", FOREVER)))
        assert connections[-1].recv(1)
    connections.append(connect(server, post("/stream", FOREVER)))
    wait_for(lambda: (server.engine.stats().live, server.engine.stats().queued) == (2, 1))
    connections[2].close()  # one that waits
    wait_for(lambda: server.engine.stats().queued == 0)
    connections[0].close()  # one that listens
    wait_for(lambda: server.engine.stats().live == 1)
    connections[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connections[1].close()  # with a reset
    wait_for(lambda: server.engine.stats().live == 0)
    assert requests.post(server.url + "/generate", json={"text": "Hi."}).status_code == 200


def test_a_slow_client_holds_up_nobody_and_little_memory(server):
    slow = connect(server, post("/stream", FOREVER))
    slow.recv(1)
    wait_for(lambda: settled(lambda: server.engine.stats().audio))
    made = server.engine.stats().audio
    assert 48_000 * made < 12 << 20  # what is made waits in buffers of the kernel, and 2 seconds of ours
    for _ in range(3):
        assert requests.post(server.url + "/generate", json={"text": "Hi."}).status_code == 200
    slow.close()
    wait_for(lambda: server.engine.stats().live == 0)


def settled(value):
    before = value()
    time.sleep(0.1)
    return value() == before


def test_a_client_that_does_not_read_is_disconnected(server, monkeypatch):
    monkeypatch.setattr(responses, "STALLED", 0.3)
    slow = connect(server, post("/stream", FOREVER), buffer=4096)
    wait_for(lambda: server.engine.stats().live == 1)
    # The kernel buffers up to a few megabytes, which take time to speak on a busy machine.
    wait_for(lambda: server.engine.stats().live == 0 and not server.app.responses._live, 60)
    assert not read_until(slow, b"\r\n0\r\n\r\n").endswith(b"\r\n0\r\n\r\n")


def test_time_is_limited(model, monkeypatch):
    with serving(model, max_seconds=1) as server:
        connection = connect(server, post("/stream", FOREVER))
        assert connection.recv(1)
        while connection.recv(1 << 20):  # it breaks off
            pass
        wait_for(lambda: not server.app.responses._live and server.engine.stats().live == 0)
        monkeypatch.setattr(server.engine, "submit", lambda *_: Script())
        answer = requests.post(server.url + "/generate", json={"text": "Hi."})
        assert answer.status_code == 503 and "longer than 1 seconds" in answer.json()["error"]


def test_an_error_midway_does_not_look_like_the_end(server, script):
    for path, body in (
        ("/stream", b'{"text": "Hi."}'),
        ("/v1/audio/speech", b'{"input": "Hi.", "response_format": "flac"}'),
    ):
        script.closed.clear()
        script.blocks = queue.Queue()
        script.blocks.put(BLOCK)
        script.blocks.put(ValueError("a bug"))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.post(server.url + path, data=body, headers={"Content-Type": "application/json"})
    assert requests.get(server.url + "/metrics").text.count("pockettts_broken_answers_total{") == 2


def test_an_error_midway_is_an_event(server, script):
    script.blocks.put(BLOCK)
    script.blocks.put(BusyError("the server stops"))
    connection = connect(
        server, post("/v1/audio/speech", b'{"input": "Hi.", "response_format": "pcm", "stream_format": "sse"}')
    )
    heard = read_until(connection, b"never")
    assert b'data: {"type": "error", "error": {"message": "the server stops"' in heard and not heard.endswith(
        b"0\r\n\r\n"
    )


def test_streams_are_bit_identical_while_a_voice_is_cloned(model):
    """Other threads clone uploads while streams are stepped."""
    from concurrent.futures import ThreadPoolExecutor
    from io import BytesIO

    import soundfile

    texts = [f"This is text number {n}, and it says so. Then it goes on for a bit." for n in range(6)]
    state = model.get_voice_state("alba")
    whole = {text: b"".join(map(pcm16, model.generate_stream(text, state, seed=5))) for text in texts}
    with serving(model) as server, ThreadPoolExecutor(12) as clients:

        def upload(n):
            file = BytesIO()
            soundfile.write(file, HUM[n:], 24_000, format="WAV")
            return requests.post(
                server.url + "/tts", data={"text": "Hi."}, files={"voice_wav": ("a.wav", file.getvalue())}
            ).status_code

        uploads = [clients.submit(upload, n) for n in range(12)]
        heard = list(
            clients.map(
                lambda text: requests.post(server.url + "/stream", json={"text": text, "seed": 5}).content, texts * 3
            )
        )
        assert {answer.result() for answer in uploads} <= {200, 503}
    assert heard == [whole[text] for text in texts * 3]


# --- the end -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tiny_model, tmp_path):
    """Start `pockettts serve`; returns the process and its port."""
    import soundfile

    soundfile.write(tmp_path / "voice.wav", HUM, 24_000)
    processes = []

    def start(*options):
        env = {name: value for name, value in os.environ.items() if not name.startswith("POCKETTTS_API")}
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pockettts",
                "serve",
                "--config",
                str(tiny_model),
                "--voice",
                str(tmp_path / "voice.wav"),
                "--port",
                "0",
                "--threads",
                "2",
                *options,
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        processes.append(process)
        while "serving config" not in (line := process.stderr.readline()):
            assert line, "it did not start"
        process.port = int(re.search(r"serving config at http://127.0.0.1:(\d+) \(Ctrl-C stops it\)", line)[1])
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def test_sigterm_lets_in_flight_responses_finish(command):
    process = command("--drain-seconds", "20")
    text = "It goes on for a while, so that there is time enough. " * 60
    whole = connect(process, post("/stream", json.dumps({"text": text, "seed": 1}).encode()))
    idle = connect(process)
    head = whole.recv(1000)
    assert head.startswith(b"HTTP/1.1 200 OK")
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: refused(process.port))
    assert read_until(whole, b"\r\n0\r\n\r\n").endswith(b"\r\n0\r\n\r\n")
    rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0 and rest.endswith("pockettts: stopped\n") and "POST /stream 200" in rest
    assert idle.recv(1) == b""


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it is closing at this very moment
        return False


def test_sigterm_has_a_time_limit(command):
    process = command("--drain-seconds", "0.3", "--log-format", "json")
    endless = connect(process, post("/stream", FOREVER))
    endless.recv(1)
    stuck = connect(process, post("/stream", FOREVER))  # takes nothing more
    stuck.recv(1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    heard = b""
    while not heard.endswith(b"\r\n0\r\n\r\n"):  # the last bytes are read by a client that is slow to start
        try:
            more = endless.recv(1 << 20)
        except ConnectionResetError:
            break
        if not more:
            break
        heard = more
    assert not heard.endswith(b"\r\n0\r\n\r\n")
    fields = [json.loads(line) for line in process.communicate(timeout=20)[1].splitlines()]
    assert process.returncode == 0 and fields[-1]["message"] == "stopped"
    assert "some responses had not ended after 0.3 seconds" in [
        line.get("message") for line in fields if line["level"] == "warning"
    ]
    ended = [line for line in fields if line.get("path") == "/stream"]
    assert [line["status"] for line in ended] == [200, 200] and all(
        line["error"].startswith("the server ") for line in ended
    )


def test_a_second_signal_stops_immediately(command):
    process = command("--log-format", "json")
    stuck = connect(process, post("/stream", FOREVER))  # takes nothing more
    stuck.recv(1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: refused(process.port))
    process.send_signal(signal.SIGTERM)
    fields = [json.loads(line) for line in process.communicate(timeout=20)[1].splitlines()]
    assert process.returncode == 128 + signal.SIGTERM
    (ended,) = [line for line in fields if line.get("path") == "/stream"]
    assert ended["status"] == 200 and ended["error"].startswith("the server ")


def test_ctrl_c(command):
    process = command()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "pockettts: stopped\n" and process.returncode == 130
