"""What clients of `pockettts serve` see when so many speak at once: a Markdown table. On random weights, so nothing is downloaded.

    python scripts/http_bench.py --variant english --threads 2

TTFA: from the request to the first bytes of sound, the slowest client's too. Aggregate RTF: time / all the sound. Slowest stream: its
time / its sound, which is below 1 if everybody hears theirs without a gap.
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
from time import perf_counter

from pockettts import PocketTTSError
from pockettts.bench import random_model
from pockettts.cli.common import within
from pockettts.config.load import load_config
from pockettts.options import Number

TEXT = "The kettle is boiling and the morning light"  # a word is a token, and without an EOS they make 5 seconds
BYTES_A_SECOND = 48_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", default="english")
    count = within(Number("N", int, 1, 1000, ""))
    parser.add_argument("--streams", type=count, nargs="+", default=[1, 4, 8], metavar="N")
    parser.add_argument("--rounds", type=count, default=2)
    args, options = parser.parse_known_args()
    with random_model.temporary(load_config(args.variant), TEXT) as config:
        command = [
            sys.executable,
            "-m",
            "pockettts",
            "serve",
            "--config",
            config,
            "--voice",
            config.with_name("voice.safetensors"),
            "--port",
            "0",
            "--max-streams",
            str(max(args.streams)),
            *options,
        ]  # what is not known here is the server's
        server = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        try:
            port = next(
                (int(found[1]) for line in server.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)", line))), None
            )
            if port is None:
                sys.exit("the server does not start")
            threading.Thread(target=server.stderr.read, daemon=True).start()
            together(port, 1)  # the first finds nothing prepared
            print(
                "| streams | TTFA, median and most, ms | aggregate RTF | slowest stream, RTF |\n| --- | --- | --- | --- |"
            )
            for count in args.streams:
                print(row(count, [together(port, count) for _ in range(args.rounds)]), flush=True)
        finally:
            server.terminate()
            server.wait()


def together(port: int, count: int) -> tuple[float, list[tuple[float, float, float]]]:
    """So many clients at once: the time that all take, and (TTFA, time, sound) of each, in seconds."""
    start, results = threading.Barrier(count + 1), []
    threads = [threading.Thread(target=lambda seed=n: results.append(listen(port, seed, start))) for n in range(count)]
    for thread in threads:
        thread.start()
    start.wait()
    begun = perf_counter()
    for thread in threads:
        thread.join()
    return perf_counter() - begun, results


def listen(port: int, seed: int, start: threading.Barrier) -> tuple[float, float, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
    connection.connect()
    start.wait()
    begun = perf_counter()
    connection.request(
        "POST",
        "/stream",
        json.dumps({"text": TEXT, "seed": seed, "eos_threshold": 1e9}),
        {"Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    size = len(answer.read1(1 << 16))
    first = perf_counter() - begun
    size += len(answer.read())
    connection.close()
    return first, perf_counter() - begun, size / BYTES_A_SECOND


def row(count: int, rounds: list[tuple[float, list[tuple[float, float, float]]]]) -> str:
    each = [result for _, results in rounds for result in results]
    firsts = [1000 * first for first, _, _ in each]
    aggregate = statistics.median(seconds / sum(sound for _, _, sound in results) for seconds, results in rounds)
    slowest = max(seconds / sound for _, seconds, sound in each)
    return f"| {count} | {statistics.median(firsts):.0f}, {max(firsts):.0f} | {aggregate:.3f} | {slowest:.2f} |"


if __name__ == "__main__":
    try:
        main()
    except PocketTTSError as error:
        sys.exit(str(error))
