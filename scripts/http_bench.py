"""What clients of `pockettts serve` get when many speak at once: a Markdown table. On random weights, so nothing is downloaded.

    python scripts/http_bench.py --variant english --threads 2
    python scripts/http_bench.py --variant english --variant french --streams 1 2 4    # two models in one server

TTFA: from the request to the first bytes of sound; the median and the slowest client's. Aggregate RTF: time / all the sound. Slowest
stream: its time / its sound; below 1 nobody hears a gap. Late: the most that a block came after a player that started with the first
one had played those before it. With several models the same number of streams is measured on the first alone, then on all in turn, so
the two rows differ only in the number of models.
"""

import argparse
import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from pockettts import PocketTTSError
from pockettts.bench import random_model
from pockettts.cli.common import number_type
from pockettts.config.load import load_config
from pockettts.options import Number

TEXT = "The kettle is boiling and the morning light"  # a word is a token, and without an EOS they make 5 seconds
BYTES_A_SECOND = 48_000
HEADER = (
    "| model | streams | TTFA, median and most, ms | aggregate RTF | slowest stream, RTF | late, ms |\n"
    + "| --- " * 6
    + "|"
)


class Heard(NamedTuple):
    """What one client got, in seconds."""

    model: str
    ttfa: float
    seconds: float
    sound: float
    late: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", action="append", help="a model; repeatable (default: english)")
    count = number_type(Number("N", int, 1, 1000, ""))
    parser.add_argument("--streams", type=count, nargs="+", default=[1, 4, 8], metavar="N")
    parser.add_argument("--rounds", type=count, default=2)
    args, options = parser.parse_known_args()  # what is not known here is the server's
    variants = args.variant or ["english"]
    with ExitStack() as stack:
        voices = Path(stack.enter_context(TemporaryDirectory(prefix="pockettts-")))
        configs = [stack.enter_context(random_model.temporary(load_config(name), TEXT)) for name in variants]
        for name, config in zip(variants, configs, strict=True):
            shutil.copy(config.with_name("voice.safetensors"), voices / f"{name} voice.safetensors")
        command = [sys.executable, "-m", "pockettts", "serve", "--port", "0", "--max-streams", str(max(args.streams))]
        command += ["--voices-dir", str(voices), "--voice", f"{variants[0]} voice"]
        command += [word for config in configs for word in ("--config", str(config))]
        server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
        try:
            measure(server, variants, args.streams, args.rounds)
        finally:
            server.terminate()
            server.wait()


def measure(server: "subprocess.Popen[str]", variants: list[str], streams: list[int], rounds: int) -> None:
    assert server.stderr is not None
    port = next((int(found[1]) for line in server.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)", line))), None)
    if port is None:
        sys.exit("the server does not start")
    threading.Thread(target=server.stderr.read, daemon=True).start()
    together(port, variants)  # the first finds nothing prepared
    print(HEADER)
    for count in streams:
        first, mixed = [variants[0]] * count, [variants[i % len(variants)] for i in range(count)]
        jobs = [first] if len(set(mixed)) == 1 else [first, mixed]
        results: list[list[tuple[float, list[Heard]]]] = [[] for _ in jobs]
        for _ in range(rounds):  # in turn, so that a noisy machine is noisy for both
            for found, job in zip(results, jobs, strict=True):
                found.append(together(port, job))
        for found in results:
            for model in dict.fromkeys(heard.model for _, each in found for heard in each):
                print(row(model, count, found), flush=True)


def together(port: int, models: Sequence[str]) -> tuple[float, list[Heard]]:
    """A client for each of these models, all at once: the time that they take, and what each got."""
    start, results = threading.Barrier(len(models) + 1), []
    threads = [
        threading.Thread(target=lambda model=model, seed=n: results.append(listen(port, model, seed, start)))
        for n, model in enumerate(models)
    ]
    for thread in threads:
        thread.start()
    start.wait()
    begun = perf_counter()
    for thread in threads:
        thread.join()
    return perf_counter() - begun, results


def listen(port: int, model: str, seed: int, start: threading.Barrier) -> Heard:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
    connection.connect()
    body = {"text": TEXT, "seed": seed, "eos_threshold": 1e9, "model": model, "voice": f"{model} voice"}
    start.wait()
    begun = perf_counter()
    connection.request("POST", "/stream", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    size, first, late = 0, None, 0.0
    while block := answer.read1(1 << 16):
        now = perf_counter()
        first = now if first is None else first
        late = max(late, now - first - size / BYTES_A_SECOND)
        size += len(block)
    connection.close()
    if first is None or answer.status != 200:
        raise SystemExit(f"the server answers {answer.status}")
    return Heard(model, first - begun, perf_counter() - begun, size / BYTES_A_SECOND, late)


def row(model: str, count: int, rounds: list[tuple[float, list[Heard]]]) -> str:
    each = [heard for _, results in rounds for heard in results]
    own = [heard for heard in each if heard.model == model]
    firsts = [1000 * heard.ttfa for heard in own]
    aggregate = statistics.median(seconds / sum(heard.sound for heard in results) for seconds, results in rounds)
    slowest = max(heard.seconds / heard.sound for heard in own)
    streams = f"{count}" if len(own) == len(each) else f"{len(own) // len(rounds)} of {count}"
    return (
        f"| {model} | {streams} | {statistics.median(firsts):.0f}, {max(firsts):.0f} | {aggregate:.3f} | {slowest:.2f} | "
        f"{1000 * max(heard.late for heard in own):.0f} |"
    )


if __name__ == "__main__":
    try:
        main()
    except PocketTTSError as error:
        sys.exit(str(error))
