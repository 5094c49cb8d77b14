"""Load and faults against `pockettts serve`, within a bounded number of requests and minutes:

    python scripts/soak.py                                  # 200 requests of 16 clients, on the tests' tiny model
    python scripts/soak.py --config my.yaml --requests 1000

Of the clients, a quarter leave midway and others read slowly, send bodies that make no sense, uploads that are too large, or sound
that is none. They add voices and remove them, ask for the times of words, and for two models, of which one is in memory at a time.
The server's threads, files, memory and streams are compared before and after; at last it is terminated amid a load. Whatever an
answer claims to be is checked: whole, it has the samples that the text has alone; else it is an error in JSON.
Ends with 1, and says why, if anything is not as it must be.
"""

import argparse
import base64
import http.client
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile

from pockettts.cli.common import number_type
from pockettts.options import Number

TINY = Path(__file__).parent.parent / "tests" / "data" / "golden" / "tiny" / "config.yaml"
KINDS = {
    "whole": 24, "leave": 26, "slow": 8, "captioned": 6, "events": 5, "clone": 5, "own": 5, "lists": 3, "malformed": 7, "oversized": 5,
    "corrupt": 6,
}  # percent  # fmt: skip
OTHER = "other"  # the name of the second model, which has the weights of the first
TEXTS = [
    "One.",
    "Two of them, said together.",
    "Three is a longer one. It has sentences, and pauses. It goes on for a while.",
    "The fourth says so much that nobody who is in a hurry will ever hear the end of it. " * 6,
]
PATIENCE = 60  # seconds that a client waits for a byte
UPLOAD = 1 << 20  # bytes that the server takes
GROWTH = 16  # MB that the server may grow by from one load to the next: allocators keep some


TEXT_FIELD = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nHello.\r\n'


class Wrong(Exception):
    """An answer that is neither right nor an error."""


class Server:
    """`pockettts serve` as a process."""

    def __init__(self, config: Path, voice: Path, log: Path) -> None:
        options = {
            "config": config, "models-dir": log.parent / "models", "max-models": 1, "voice": voice, "voices-dir": log.parent / "voices",
            "max-uploaded": 4, "port": 0, "max-streams": 4, "max-queue": 8, "max-upload": UPLOAD >> 20, "drain-seconds": 60,
        }  # fmt: skip
        command = [sys.executable, "-m", "pockettts", "serve", "--allow-uploads"]
        command += [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(command, stderr=file)
        for _ in range(1200):
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text("utf-8")):
                self.port = int(found[1])
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"soak: the server does not start: {log.read_text('utf-8')[-500:]}")

    def figures(self) -> dict[str, int]:
        """What must not grow. Where there is no /proc, only the streams."""
        figures = {
            "streams": sum(
                int(n) for n in re.findall(r"^pockettts_streams{.*} (\d+)$", get(self.port, "/metrics"), re.M)
            )
        }
        time.sleep(0.2)  # for the server to see that this connection is closed
        proc = Path("/proc", str(self.process.pid))
        if proc.exists():
            status = (proc / "status").read_text()
            figures["threads"] = int(re.search(r"Threads:\s+(\d+)", status)[1])
            figures["files"] = len(list((proc / "fd").iterdir()))
            figures["MB"] = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) >> 10
        return figures

    def settled(self) -> dict[str, int]:
        """The figures once all clients have gone. What is still held after 20 seconds is leaked."""
        before: dict[str, int] = {}
        for _ in range(60):
            time.sleep(0.2)
            before, now = self.figures(), before
            if now and now["streams"] == 0 and now.get("files") == before.get("files"):
                break
        return before


def get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


class Client:
    """Sends requests of all kinds, and judges the answers."""

    def __init__(self, port: int, sound: bytes, seed: int) -> None:
        self.port, self.sound, self.dice = port, sound, random.Random(seed)
        self.alone: dict[int, bytes] = {}

    def learn(self) -> None:
        """What each text sounds like when the server has nothing else to do."""
        for n in range(len(TEXTS)):
            status, body = self.ask("/stream", {"text": TEXTS[n], "seed": n})
            if status != 200:
                raise SystemExit(f"soak: the server answers {status}: {body[:300]!r}")
            self.alone[n] = body

    def act(self, kind: str) -> str:
        """One request; returns how it ended: whole, left, or an error's status. Raises Wrong, or OSError if it broke off."""
        if kind in ("whole", "slow", "leave", "captioned", "events"):
            return getattr(self, kind)(self.dice.randrange(len(TEXTS)))
        if kind in ("own", "lists"):
            return getattr(self, kind)()
        status, body = getattr(self, kind)()
        if status == 200:
            if kind != "clone" or len(body) <= 44:
                raise Wrong(f"{kind}: it is taken for good")
            return "whole"
        return self.error(status, body, kind)

    def whole(self, n: int) -> str:
        format = self.dice.choice(["pcm", "wav", "flac", "mp3", "opus", "generate"])
        stream = self.dice.choice([None, True, False])
        path, body = "/v1/audio/speech", {"input": TEXTS[n], "seed": n, "response_format": format, "stream": stream}
        if format == "generate":
            path, body = "/generate", {"text": TEXTS[n], "seed": n}
        body |= {"model": OTHER} if self.dice.random() < 0.2 else {}
        status, body = self.ask(path, body)
        if status != 200:
            return self.error(status, body, "whole")
        expected, count = self.alone[n], len(self.alone[n]) // 2
        if format == "flac":
            body = soundfile.SoundFile(io.BytesIO(body)).read(count - 1, dtype="int16").tobytes() + expected[-2:]
        elif format in ("mp3", "opus"):
            off = len(soundfile.read(io.BytesIO(body))[0]) - count
            body = expected if 0 <= off < 3000 else b""
        if body[44 if format in ("wav", "generate") else 0 :] != expected:
            raise Wrong(f"{format}: not the samples of the text alone")
        return "whole"

    def captioned(self, n: int) -> str:
        """Sound and times of words, in one object or in lines."""
        body = {"input": TEXTS[n], "seed": n, "response_format": "pcm", "stream": self.dice.random() < 0.5}
        status, answer = self.ask("/dev/captioned_speech", body)
        if status != 200:
            return self.error(status, answer, "captioned")
        return self.timed([json.loads(line) for line in answer.splitlines()], "timestamps", n)

    def events(self, n: int) -> str:
        """The same as server-sent events."""
        body = {"input": TEXTS[n], "seed": n, "response_format": "pcm", "stream_format": "sse", "timestamps": True}
        status, answer = self.ask("/v1/audio/speech", body)
        if status != 200:
            return self.error(status, answer, "events")
        told = [json.loads(line.removeprefix(b"data: ")) for line in answer.split(b"\n\n") if line]
        if told[-1]["type"] != "speech.audio.done":
            raise Wrong(f"events: the last is {told[-1]}")
        return self.timed(told, "words", n)

    def timed(self, told: list[dict], words: str, n: int) -> str:
        sound = b"".join(base64.b64decode(part.get("audio", "")) for part in told)
        spoken = " ".join(word["word"] for part in told for word in part.get(words) or [])
        if sound != self.alone[n] or len(spoken) < len(TEXTS[n]) / 2:
            raise Wrong(f"{words}: not the samples or the words of the text alone")
        return "whole"

    def own(self) -> str:
        """Adds a voice, speaks with it, and removes it."""
        name = f"guest {self.dice.getrandbits(40):x}"
        fields = f'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'.encode()
        status, answer = self.upload(self.sound, fields, "audio_sample", "/v1/audio/voices")
        if status != 200:
            return self.error(status, answer, "own")
        try:
            status, answer = self.ask("/stream", {"text": TEXTS[0], "voice": name})
            if status == 422 or (status == 200 and len(answer) < 1920):
                raise Wrong(f"own: {status} {answer[:100]!r}")
        finally:
            gone, told = self.ask(f"/v1/audio/voices/{quote(name)}", b"", method="DELETE")
        if gone != 200:
            raise Wrong(f"own: it is not removed: {gone} {told[:100]!r}")
        return "whole" if status == 200 else self.error(status, answer, "own")

    def lists(self) -> str:
        for method, path, expected in (
            ("GET", "/v1/models", 200), ("GET", "/v1/models/tts-1", 200), ("GET", "/v1/audio/models", 200), ("GET", "/v1/voices", 200),
            ("GET", "/v1/audio/voices?model=" + OTHER, 200), ("GET", "/docs", 200), ("HEAD", "/", 200), ("OPTIONS", "/tts", 204),
            ("DELETE", "/v1/audio/voices/nobody", 404),
        ):  # fmt: skip
            status, _ = self.ask(path, b"", method=method)
            if status != expected:
                raise Wrong(f"{method} {path}: {status}")
        return "whole"

    def slow(self, n: int) -> str:
        """Takes its answer in small pieces, with waits of a second at most all in all."""

        def drip(answer: http.client.HTTPResponse) -> bytes:
            pieces = []
            while piece := answer.read1(4096):
                pieces.append(piece)
                if len(pieces) < 100:
                    time.sleep(0.01)
            return b"".join(pieces)

        status, body = self.ask("/stream", {"text": TEXTS[n], "seed": n}, read=drip)
        if status == 200 and body != self.alone[n]:
            raise Wrong("slow: not the samples of the text alone")
        return "whole" if status == 200 else self.error(status, body, "slow")

    def leave(self, n: int) -> str:
        """Goes before the answer, or after some of it, with a FIN or a reset."""
        body = json.dumps({"text": TEXTS[n] * 5}).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        head = f"POST /{self.dice.choice(['stream', 'generate'])} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(
            f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: self.dice.choice([9, None, None])]
        )
        if self.dice.random() < 0.7 and b"/stream" in head.encode():
            connection.settimeout(0.3)
            with suppress(TimeoutError):
                connection.recv(self.dice.choice([1, 5_000, 50_000]))
        if self.dice.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return "left"

    def clone(self) -> tuple[int, bytes]:
        return self.upload(self.sound + bytes(2 * self.dice.randrange(1000)))

    def corrupt(self) -> tuple[int, bytes]:
        noise = self.dice.randbytes(5000)
        return self.upload(self.dice.choice([b"RIFF", self.sound[:-9999], self.sound[:40], noise, b"\xff\xfb" * 50]))

    def oversized(self) -> tuple[int, bytes]:
        return self.upload(self.sound + bytes(self.dice.choice([UPLOAD, 3 * UPLOAD])))

    def malformed(self) -> tuple[int, bytes]:
        path = self.dice.choice(
            [
                "/generate",
                "/stream",
                "/v1/audio/speech",
                "/tts",
                "/dev/captioned_speech",
                "/v1/audio/voices",
                "/nothing",
            ]
        )
        senseless = b'{"text": "a", "input": "a", "seed": -1}'
        body = self.dice.choice([b"", b"{", b"[]", b'{"text": 5}', b"\xff" * 99, senseless])
        kind = self.dice.choice(["application/json", "multipart/form-data; boundary=x", "text/plain"])
        return self.ask(path, body, {"Content-Type": kind})

    def upload(
        self, sound: bytes, fields: bytes = TEXT_FIELD, name: str = "voice_wav", path: str = "/tts"
    ) -> tuple[int, bytes]:
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="v.wav"\r\n\r\n'.encode()
        return self.ask(
            path, fields + head + sound + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}
        )

    def ask(
        self,
        path: str,
        body: dict[str, Any] | bytes,
        headers: dict[str, str] | None = None,
        read: Callable[[http.client.HTTPResponse], bytes] = http.client.HTTPResponse.read,
        method: str = "POST",
    ) -> tuple[int, bytes]:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, data, headers or {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, read(answer)
        except http.client.HTTPException as error:
            raise ConnectionError(f"it broke off ({type(error).__name__})") from None
        finally:
            connection.close()

    def error(self, status: int, body: bytes, kind: str) -> str:
        try:
            told = json.loads(body)
            assert (told["detail"] if "detail" in told else told["error"]) and 400 <= status < 600
        except (ValueError, KeyError, TypeError, AssertionError):
            raise Wrong(f"{kind}: {status} without an error in JSON: {body[:100]!r}") from None
        if status == 500 or kind in ("malformed", "oversized", "corrupt") and status >= 500 and status != 503:
            raise Wrong(f"{kind}: {status} {body[:100]!r}")
        return str(status)


def load(make_client, clients: int, kinds: list[str], after_first=lambda: None) -> Counter:
    """So many clients share out these requests; returns how often each (kind, outcome) came."""
    outcomes: Counter = Counter()
    lock, todo, begun = threading.Lock(), iter(kinds), threading.Event()

    def work(client: Client) -> None:
        while True:
            with lock:
                kind = next(todo, None)
            if kind is None:
                return
            begun.set()
            try:
                outcome = client.act(kind)
            except Wrong as wrong:
                outcome = f"WRONG: {wrong}"
            except OSError as error:
                outcome = "refused" if isinstance(error, ConnectionRefusedError) else f"broken ({error})"
            with lock:
                outcomes[kind, outcome] += 1
            if outcome == "503":
                time.sleep(0.5)  # a refused client tries again with its next request

    threads = [threading.Thread(target=work, args=(make_client(n),)) for n in range(clients)]
    for thread in threads:
        thread.start()
    begun.wait()
    after_first()
    for thread in threads:
        thread.join()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=number_type(Number("requests", int, 10, 1_000_000, "")), default=200)
    parser.add_argument("--clients", type=number_type(Number("clients", int, 1, 1000, "")), default=16)
    parser.add_argument(
        "--config", type=Path, default=TINY, help="a model that can clone voices (default: the tests' tiny one)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the clients' choices")
    args = parser.parse_args()
    sound = io.BytesIO()
    soundfile.write(sound, (0.3 * np.sin(np.arange(48_000) / 20)).astype(np.float32), 24_000, format="WAV")
    dice = random.Random(args.seed)
    kinds = [kind for kind, part in KINDS.items() for _ in range(round(part * args.requests / 100))]
    dice.shuffle(kinds)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        voice, log = Path(folder, "voice.wav"), Path(folder, "log")
        voice.write_bytes(sound.getvalue())
        shutil.copytree(args.config.parent, Path(folder, "models", OTHER))
        Path(folder, "models", OTHER, args.config.name).rename(Path(folder, "models", OTHER, "config.yaml"))
        server = Server(args.config, voice, log)
        try:
            teacher = Client(server.port, sound.getvalue(), 0)
            teacher.learn()

            def client(n: int) -> Client:
                one = Client(server.port, sound.getvalue(), args.seed + n)
                one.alone = teacher.alone
                return one

            load(client, args.clients, kinds)  # what is made once is made now
            before, start = server.settled(), time.monotonic()
            outcomes = load(client, args.clients, kinds)
            seconds, after = time.monotonic() - start, server.settled()
            problems += report(
                f"{len(kinds)} requests of {args.clients} clients in {seconds:.1f} s", outcomes, allowed=()
            )
            print("before:", before, "after:", after)
            problems += [
                f"{name} leaked: {before[name]} before, {after[name]} after"
                for name in before
                if name != "MB" and after[name] > (0 if name == "streams" else before[name])
            ]
            if after.get("MB", 0) > before.get("MB", 0) + GROWTH:
                problems.append(f"memory grew from {before['MB']} to {after['MB']} MB")

            if kept := os.listdir(Path(folder, "voices", "uploads")):
                problems.append(f"voices were not removed: {kept}")

            def terminate() -> None:
                time.sleep(0.3)
                server.process.send_signal(signal.SIGTERM)

            outcomes = load(client, args.clients, kinds[: 4 * args.clients], terminate)
            problems += report("kill -TERM amid a load", outcomes, allowed=("refused", "broken"))
            if (code := server.process.wait(90)) != 0:
                problems.append(f"the server ended with {code}")
            if "Traceback" in log.read_text("utf-8"):
                problems.append(
                    "the server's log has a traceback: " + log.read_text("utf-8").partition("Traceback")[2][-500:]
                )
        finally:
            server.process.kill()
            server.process.wait()
    for problem in problems:
        print("soak:", problem, file=sys.stderr)
    print("failed" if problems else "as it must be")
    return bool(problems)


def report(title: str, outcomes: Counter, allowed: tuple[str, ...]) -> list[str]:
    """Print how the requests ended; returns those that ended as none may."""
    print(title)
    for kind in KINDS:
        ends = {end: count for (k, end), count in sorted(outcomes.items()) if k == kind}
        print(f"  {kind:<10}", ", ".join(f"{count} {end}" for end, count in ends.items()) or "none")
    fine = ("whole", "left", *allowed)
    return [
        f"{kind}: {end}, {count} times"
        for (kind, end), count in outcomes.items()
        if not (end.isdigit() or end.startswith(fine))
    ]


if __name__ == "__main__":
    sys.exit(main())
