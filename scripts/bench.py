"""Compare the speed of this package with another implementation. Both stay loaded and take turns, so noise affects both.

    python scripts/bench.py --against official|onnxruntime [--oracle PYTHON] [--model english] [--precision int8] [--json]

The measures are those of `pockettts bench`, on the same random weights. The other implementations, each in its best configuration:

    official     pocket-tts 4.0.1 on torch 2.13.0, as shipped; for int8, `quantize=True`
    onnxruntime  the optimized graphs of export_onnx.py; for int8, dynamically quantized. It computes only frames: its RTF and start
                 time do not include the text. Its RTF is the better one of two thread configurations

PYTHON is an interpreter with the packages. Without it, the script creates a virtual environment, shared with scripts/parity.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from parity import oracle_python, program
from rivals import answer

from pockettts import PocketTTSError
from pockettts.bench import bench, random_model
from pockettts.cli.common import number_type
from pockettts.config.load import load_config
from pockettts.options import NUMBERS, PRECISIONS, Number
from pockettts.reading.tokenizer import load_tokenizer

HERE = Path(__file__).resolve().parent
REST = 0.3  # seconds before each turn: idle threads of the other side may still spin on a core
MEASURES = {"latent": ("flow LM with flow net", "ms a frame", 1e3)} | {
    name: bench.MEASURES[name] for name in ("mimi", "prefill", "voice", "ttfa", "rtf", "start", "memory")
}
TURNS = {"official": ("frames", "mimi", "prefill", "clone", "speak"), "onnxruntime": ("frames", "mimi", "speak")}


class Ours(bench.Subject):
    def frames(self) -> dict[str, float]:
        return {"latent": sum(super().frames().values())}


class Worker:
    """One implementation in its own process, which runs measures on request."""

    def __init__(self, command: list) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            stderr=None if "--debug" in sys.argv else subprocess.DEVNULL,
        )

    def measure(self, name: str) -> dict[str, float]:
        time.sleep(REST)
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return json.loads(
            self.process.stdout.readline() or sys.exit(f"{self.process.args}: failed at {name} (--debug says why)")
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def compare(path: Path, plan: dict, a: argparse.Namespace, python: str) -> dict[str, dict[str, list[float]]]:
    """The values of each measure and side, from a.rounds rounds after one warm-up round."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    (plan_file := path.with_name("plan.json")).write_text(json.dumps(plan))
    rival = [python, HERE / "rivals.py", a.against, path, plan_file]

    def record(side: str, count: bool, values: dict[str, float]) -> None:
        for name, value in values.items():
            found[name][side] += [value] * count

    for i in range(
        a.rounds + 1
    ):  # while this process is small: the system counts the parent's memory in the child's peak
        record("ours", i > 0, bench.speak_in_new_process(path, a.precision, a.threads))
        record(a.against, i > 0, bench.measure_process([*rival, "--fresh"]))
    sides = {"ours": Worker([sys.executable, __file__, *sys.argv[1:], "--worker", path]), a.against: Worker(rival)}
    try:
        for i in range(a.rounds + 1):
            for name in TURNS[a.against]:
                for side, worker in sides.items():
                    record(side, i > 0, worker.measure(name))
    finally:
        for worker in sides.values():
            worker.close()
    return {name: found[name] for name in MEASURES if len(found[name]) == len(sides)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--against", choices=TURNS, required=True)
    p.add_argument("--oracle", type=program, help="a Python with the packages of the other implementation")
    p.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()) / "pockettts-parity", help="folder of the environment"
    )
    p.add_argument("--model", default="english")
    p.add_argument("--precision", choices=PRECISIONS)
    p.add_argument(
        "--threads",
        type=number_type(NUMBERS["threads"]),
        help="threads of both sides (default: each one's own default)",
    )
    p.add_argument("--rounds", type=number_type(Number("rounds", int, 1, 1000, "")), default=bench.ROUNDS)
    p.add_argument("--json", action="store_true")
    p.add_argument("--debug", action="store_true", help="show the messages of the other implementation")
    p.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker:
        out, sys.stdout = sys.stdout, sys.stderr
        return answer(Ours(a.worker, a.precision, a.threads), out)

    python = a.oracle or oracle_python(a.keep, "onnx==1.23.2", "onnxruntime==1.32.0")
    config = load_config(a.model)
    with random_model.temporary(config, bench.TEXT) as path:
        if a.against == "onnxruntime":
            export = [python, HERE / "export_onnx.py", path.parent, path.name]
            if subprocess.run(
                export, cwd=path.parent, stdout=sys.stderr, stderr=None if a.debug else subprocess.DEVNULL
            ).returncode:
                sys.exit(f"{python}: the graphs could not be exported (--debug says why)")
        table = config.flow_lm.lookup_table
        tokens = len(load_tokenizer(path.with_name("tokenizer.json"), table.n_bins).encode(bench.TEXT))
        plan = dict(
            text=bench.TEXT,
            text_tokens=tokens,
            eos_threshold=bench.EOS_THRESHOLD,
            frames=bench.FRAMES,
            frames_after_eos=bench.FRAMES_AFTER_EOS,
            tokens=bench.TOKENS,
            voice_rows=random_model.VOICE_ROWS,
            prompt=bench.test_tone(bench.VOICE_SECONDS, config.mimi.sample_rate).tolist(),
            threads=a.threads or 0,
            int8=a.precision == "int8",
        )
        found = compare(path, plan, a, python)
    rows = {}
    for name, sides in found.items():
        what, unit, scale = MEASURES[name]
        label = ", ".join(filter(None, (what, unit)))
        ratio = statistics.median(rival / ours for ours, rival in zip(*sides.values(), strict=True))
        rows[label] = {side: [scale * value for value in values] for side, values in sides.items()} | {"ratio": ratio}
    if a.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{a.model}, {a.precision or 'bf16'}: {bench.cpu()}, {os.cpu_count()} cores")
    print(f"medians of {a.rounds} rounds (minimum - maximum)\n")
    cells = [
        [label, bench.spread(row["ours"]), bench.spread(row[a.against]), f"{row['ratio']:.2f}"]
        for label, row in rows.items()
    ]
    print(bench.markdown([a.model, "ours", a.against, "ratio"], cells))


if __name__ == "__main__":
    try:
        main()
    except PocketTTSError as error:
        sys.exit(str(error))
