"""Measure the speed of a model on this machine, and compare each measure with its roofline limit.

The model has random weights at real sizes, generated for the run. Each round measures everything once, including the machine's limits,
so noise of the machine affects all of them. Figures are medians; limits come from the fastest rounds.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, ops
from ..config.schema import Config
from ..engine import Engine, Stream
from ..errors import PocketTTSError
from ..model.state import KVCache
from ..tts import TTSModel
from . import random_model
from .random_model import VOICE_ROWS
from .roofline import ModelWork, Speeds, Work

TEXT = "The quick brown fox jumps over the lazy dog, and then it walks home through the quiet streets of the old town."
ROUNDS = 7  # after one warm-up round
FRAMES, TOKENS = 25, 100  # frames to generate and tokens to prefill in one measurement
VOICE_SECONDS = 10  # length of the voice prompt
STREAMS = (1, 2, 4, 8, 16)  # numbers of concurrent streams
STREAM_ROUNDS = 3
Report = dict[str, Any]  # figures that can be stored as JSON
EOS_THRESHOLD = -1e9  # EOS comes at once, so a text has about FRAMES_AFTER_EOS frames
FRAMES_AFTER_EOS = 60
UNITS = {"rtf": ("", 1), "ttfa": ("ms", 1e3), "late": ("ms", 1e3)}  # measures of streams: unit, units per second
MEASURES = {  # label, unit, units per second (per byte for "memory")
    "lm": ("flow LM", "ms a frame", 1e3),
    "flow_net": ("flow net", "ms a frame", 1e3),
    "mimi": ("Mimi decoder", "ms a frame", 1e3),
    "prefill": ("prefill", "ms a token", 1e3),
    "voice": (f"encode {VOICE_SECONDS} s of voice", "s", 1),
    "ttfa": ("text to first audio", "ms", 1e3),
    "rtf": ("RTF", "", 1),
    "load": ("load the model", "s", 1),
    "start": ("process start to first audio", "s", 1),
    "memory": ("peak memory", "MB", 1e-6),
}


def run(
    config: Config,
    precision: str | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure a model with the shapes of this config. Returns the report for `table`. Raises PocketTTSError."""
    values: dict[str, list[float]] = defaultdict(list)

    def run_rounds(what: str, *measures: Callable[[], dict[str, float]]) -> None:
        for i in range(ROUNDS + 1):
            progress(f"{what}, round {i} of {ROUNDS}")
            for measure in measures:
                for name, value in measure().items():
                    values[name] += [value] * (i > 0)

    progress("making a model of random weights")
    with random_model.temporary(config, TEXT) as path:
        # First, while this process is small: the system counts the parent's memory in the child's peak.
        run_rounds("new processes", start_python, lambda: speak_in_new_process(path, precision, threads))
        subject, model_work = Subject(path, precision, threads), ModelWork(config, precision or "bf16")
        tokens = len(subject.model.tokenizer.encode(TEXT))
        lm, decoder = (
            model_work.backbone(1, VOICE_ROWS + tokens).plus(model_work.flow_net()),
            model_work.decoder(),
        )
        speeds = Speeds({"the flow LM": lm.bytes, "the decoder": decoder.bytes, "both": lm.plus(decoder).bytes})
        run_rounds(
            "one process",
            subject.load,
            subject.frames,
            subject.mimi,
            subject.prefill,
            subject.clone,
            subject.speak,
            speeds.measure,
        )
    limits = _limits(model_work, tokens, values)
    return _environment(config, precision, ROUNDS) | dict(
        read={
            name: dict(MB=size / 1e6) | _statistics(values[name], "GB/s", 1e-9) for name, size in speeds.loops.items()
        },
        multiply={name: _statistics(values[name], "G/s", 1e-9) for name in ("f32", "int8")},
        measures={name: _row(name, values[name], *limits[name]) for name in MEASURES},
    )


def run_streams(
    config: Config,
    precision: str | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Measure concurrent streams of an engine, compared with the same texts in turn. All texts are requested at the same time.

    A block is due when a player that started with the first block has played all blocks before it. Returns the report for
    `streams_table`. Raises PocketTTSError.
    """
    progress("making a model of random weights")
    with random_model.temporary(config, TEXT) as path:
        subject, model_work = Subject(path, precision, threads), ModelWork(config, precision or "bf16")
        tokens = len(subject.model.tokenizer.encode(TEXT))
        lm, decoder = (
            model_work.backbone(1, VOICE_ROWS + tokens).plus(model_work.flow_net()),
            model_work.decoder(),
        )
        speeds, reached = Speeds({"both": lm.plus(decoder).bytes}), defaultdict(list)
        rows: list[Report] = []
        subject.at_once(2)  # warm-up
        for n in STREAMS:
            values: dict[str, list[float]] = defaultdict(list)
            for i in range(STREAM_ROUNDS):
                progress(f"{n} streams, round {i + 1} of {STREAM_ROUNDS}")
                for name, value in (subject.in_turn(n) | subject.at_once(n)).items():
                    values[name].append(value)
                for name, value in speeds.measure().items():
                    reached[name].append(value)
            gains = [alone / rtf for alone, rtf in zip(values["rtf_in_turn"], values["rtf"], strict=True)]
            rows.append(
                {name: _statistics(found, *UNITS[name.split("_")[0]]) for name, found in values.items()}
                | dict(streams=n, gain=_statistics(gains, "", 1))
            )
    for row in rows:
        n = row["streams"]
        step = Work(lm.bytes + decoder.bytes, n * (lm.flops + decoder.flops), n * (lm.int8 + decoder.int8))
        row["limit"] = (
            step.limit(*(max(reached[name]) for name in ("both", "f32", "int8")))[0] * config.mimi.frame_rate / n
        )
    return _environment(config, precision, STREAM_ROUNDS) | dict(streams=rows)


def _environment(config: Config, precision: str | None, rounds: int) -> Report:
    return dict(
        model=config.name,
        precision=precision or "bf16",
        threads=ops.get_threads(),
        openmp=ops.OPENMP,
        isa=ops.ISA,
        cpu=cpu(),
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}",
        rounds=rounds,
        versions=dict(pockettts=__version__, python=platform.python_version(), numpy=np.__version__),
    )


def streams_table(report: Report) -> str:
    """The report of `run_streams` as text."""
    lines = [
        *_heading(report),
        f"medians of {report['rounds']} rounds; RTF of all streams together; first audio in ms (in parentheses: last stream);",
        "late: the most ms that a block came after it was due\n",
        f"{'streams':>7}{'RTF in turn':>13}{'at once':>9}{'limit':>8}{'gain':>7}{'first audio in turn':>22}{'at once':>16}{'late':>8}",
    ]
    for row in report["streams"]:
        in_turn, at_once = _with_last(row, "ttfa_in_turn"), _with_last(row, "ttfa")
        lines.append(
            f"{row['streams']:7}{row['rtf_in_turn']['median']:13.3f}{row['rtf']['median']:9.3f}{row['limit']:8.3f}"
            f"{row['gain']['median']:7.2f}{in_turn:>22}{at_once:>16}{row['late']['median']:8.0f}"
        )
    return "\n".join(lines)


def _with_last(row: Report, name: str) -> str:
    """The median of a figure, and that of the last stream in parentheses."""
    return f"{row[name]['median']:.0f} ({row[name + '_last']['median']:.0f})"


def _heading(report: Report) -> list[str]:
    threads = f"{report['isa']} kernels on {report['threads']} threads"
    if not report["openmp"]:
        threads = f"{report['isa']} kernels on one thread: the compiler that built them has no OpenMP"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [
        f"{report['model']}: random weights in {report['precision']}",
        f"{report['cpu']}, {report['cores']} cores, {report['system']}; {threads}; {versions}",
    ]


def table(report: Report) -> str:
    """The report of `run` as text, for the terminal and docs/speed.md."""
    reads = "; ".join(f"{_spread(row)} for the {row['MB']:.3g} MB of {name}" for name, row in report["read"].items())
    rows = [
        [
            ", ".join(filter(None, (MEASURES[name][0], row["unit"]))),
            _spread(row),
            f"{row['limit']:.3g}",
            f"{row['ratio']:.2f}",
            row["bound"],
        ]
        for name, row in report["measures"].items()
    ]
    return "\n".join(
        [
            *_heading(report),
            f"reads, GB/s: {reads}",
            f"multiplies, G operations/s: {'; '.join(f'{_spread(row)} in {name}' for name, row in report['multiply'].items())}",
            f"medians of {report['rounds']} rounds (minimum - maximum); limits from the fastest reads and multiplications\n",
            markdown([report["model"], "measured", "limit", "ratio", "limited by"], rows),
        ]
    )


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table that is also readable in a terminal."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )


def spread(values: list[float]) -> str:
    """Median, minimum and maximum as text."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} - {max(values):.3g})"


def _limits(model_work: ModelWork, tokens: int, values: dict[str, list[float]]) -> dict[str, tuple[float, str]]:
    """The roofline limit of each measure (in seconds, bytes or 1), and the resource that sets it."""

    def limit(work: Work, loop: str = "both") -> tuple[float, str]:
        return work.limit(*(max(values[name]) for name in (loop, "f32", "int8")))

    lm, flow_net, decoder = (
        model_work.backbone(1, VOICE_ROWS + tokens),
        model_work.flow_net(),
        model_work.decoder(),
    )
    frame, rate = lm.plus(flow_net, decoder), model_work.config.mimi.frame_rate
    limits = {
        "lm": limit(lm, "the flow LM"),
        "flow_net": limit(flow_net, "the flow LM"),
        "mimi": limit(decoder, "the decoder"),
        "prefill": limit(model_work.backbone(TOKENS, VOICE_ROWS).times(1 / TOKENS), "the flow LM"),
        "voice": limit(model_work.encoder(VOICE_SECONDS * rate).plus(model_work.backbone(VOICE_ROWS, 0))),
        "rtf": limit(frame.times(rate)),
        "load": limit(Work(frame.bytes, 0)),
        "memory": (frame.bytes, "weights"),
    }
    first = sum(limit(work)[0] for work in (model_work.backbone(tokens, VOICE_ROWS), lm, flow_net, decoder))
    return limits | {
        "ttfa": (first, "both, in turn"),
        "start": (min(values["python"]) + first, "start of Python and NumPy, then both"),
    }


def _row(name: str, values: list[float], limit: float, bound: str) -> Report:
    _, unit, scale = MEASURES[name]
    return _statistics(values, unit, scale) | dict(
        limit=limit * scale, bound=bound, ratio=statistics.median(values) / limit
    )


def _statistics(values: list[float], unit: str, scale: float) -> Report:
    return dict(unit=unit, median=statistics.median(values) * scale, min=min(values) * scale, max=max(values) * scale)


def _spread(row: Report) -> str:
    return spread([row["median"], row["min"], row["max"]])


# --- measures ----------------------------------------------------------------------------------------------------------------


class Subject:
    """A loaded model. Each measure returns seconds (or RTF) by name."""

    def __init__(self, path: Path, precision: str | None, threads: int | None) -> None:
        self.path, self.precision, self.threads = path, precision, threads
        self.model = self._load()
        self.prompt = test_tone(VOICE_SECONDS, self.model.sample_rate)
        self.voice = self.model.get_voice_state(self.prompt)

    def load(self) -> dict[str, float]:
        """Load the model again. Its file is in the system's page cache."""
        del self.model  # memory may not hold two
        start = time.perf_counter()
        self.model = self._load()
        return {"load": time.perf_counter() - start}

    def _load(self) -> TTSModel:
        return TTSModel.load(
            config=self.path,
            precision=self.precision,
            threads=self.threads,
            temperature=0,
            eos_threshold=EOS_THRESHOLD,
        )

    def frames(self) -> dict[str, float]:
        """Frames of the flow LM: the backbone with the EOS logit, then the flow net."""
        lm, state = self.model.flow_lm, self._voice_caches()
        noise = np.zeros_like(lm.bos_emb)
        latent = lm.sample(lm.step(None, state), noise)
        times = [time.perf_counter()]
        for _ in range(FRAMES):
            hidden = lm.step(latent, state)
            lm.eos_logit(hidden)
            times.append(time.perf_counter())
            latent = lm.sample(hidden, noise)
            times.append(time.perf_counter())
        spans = np.diff(times)
        return {"lm": spans[0::2].mean(), "flow_net": spans[1::2].mean()}

    def mimi(self) -> dict[str, float]:
        decoder = self.model.decoder
        latent, state = np.zeros_like(self.model.flow_lm.bos_emb), decoder.init_state()
        decoder(latent, state)
        start = time.perf_counter()
        for _ in range(FRAMES):
            decoder(latent, state)
        return {"mimi": (time.perf_counter() - start) / FRAMES}

    def prefill(self) -> dict[str, float]:
        lm, state = self.model.flow_lm, self._voice_caches()
        start = time.perf_counter()
        lm.prefill(lm.embed_text(list(range(TOKENS))), state)
        return {"prefill": (time.perf_counter() - start) / TOKENS}

    def clone(self) -> dict[str, float]:
        start = time.perf_counter()
        self.model.get_voice_state(self.prompt)
        return {"voice": time.perf_counter() - start}

    def speak(self) -> dict[str, float]:
        start = time.perf_counter()
        blocks = self.model.generate_stream(TEXT, self.voice, frames_after_eos=FRAMES_AFTER_EOS)
        samples = len(next(blocks))
        first = time.perf_counter() - start
        samples += sum(map(len, blocks))
        return {"ttfa": first, "rtf": (time.perf_counter() - start) / (samples / self.model.sample_rate)}

    def in_turn(self, n: int) -> dict[str, float]:
        """Request n texts at the same time; speak them in turn."""
        start, samples, first = time.perf_counter(), 0, []
        for _ in range(n):
            blocks = self.model.generate_stream(TEXT, self.voice, frames_after_eos=FRAMES_AFTER_EOS)
            samples += len(next(blocks))
            first.append(time.perf_counter() - start)
            samples += sum(map(len, blocks))
        return {
            "rtf_in_turn": (time.perf_counter() - start) / (samples / self.model.sample_rate),
            "ttfa_in_turn": statistics.median(first),
            "ttfa_in_turn_last": max(first),
        }

    def at_once(self, n: int) -> dict[str, float]:
        """Request n texts at the same time; speak them concurrently."""
        options, rate = self.model.options.replace(frames_after_eos=FRAMES_AFTER_EOS), self.model.sample_rate

        def read(stream: Stream) -> tuple[int, float]:
            """The number of samples, and the longest delay of a block in seconds."""
            samples, late, first = 0, 0.0, None
            for block in stream:
                first = first or time.perf_counter()
                late = max(late, time.perf_counter() - first - samples / rate)
                samples += len(block)
            return samples, late

        with closing(Engine(max_streams=n)) as engine, ThreadPoolExecutor(n) as readers:
            start = time.perf_counter()
            streams = [engine.submit(self.model, TEXT, self.voice, options) for _ in range(n)]
            samples, late = zip(*readers.map(read, streams), strict=True)
            seconds = time.perf_counter() - start
        first = [stream.ttfa for stream in streams if stream.ttfa is not None]
        return {
            "rtf": seconds / (sum(samples) / rate),
            "ttfa": statistics.median(first),
            "ttfa_last": max(first),
            "late": max(late),
        }

    def _voice_caches(self) -> list[KVCache]:
        return KVCache.restore(self.voice.layers, TOKENS + FRAMES)


def test_tone(seconds: float, rate: int) -> np.ndarray:
    """A voice prompt for random weights: a tone of varying pitch and level, float32 [samples]."""
    t = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * (120 + 6 * t) * t) * (0.6 + 0.4 * np.sin(6 * np.pi * t))).astype(np.float32)


def start_python() -> dict[str, float]:
    """Start a process that only imports NumPy."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import numpy"], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return {"python": time.perf_counter() - start}


def speak_in_new_process(path: Path, precision: str | None, threads: int | None) -> dict[str, float]:
    """Run the `pockettts` command in a new process, with a voice file. Returns `measure_process`."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pockettts",
        "generate",
        "--quiet",
        "--stream",
        "--text",
        TEXT,
        "--config",
        path,
        "--voice",
        path.with_name("voice.safetensors"),
        "--temperature",
        "0",
        f"--eos-threshold={EOS_THRESHOLD}",
        "--frames-after-eos",
        str(FRAMES_AFTER_EOS),
    ]
    for name, value in {"--precision": precision, "--threads": threads}.items():
        command += [name, str(value)] if value else []
    return measure_process(command)


def measure_process(command: list[str | Path]) -> dict[str, float]:
    """Run a command. Returns the seconds to its first byte on stdout, and its peak memory in bytes.

    Python may write byte code, as an installed package has it; compiling takes as long as importing NumPy.
    Raises PocketTTSError if the command fails or writes nothing.
    """
    start, env = time.perf_counter(), os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            sound = process.stdout.read(1)
            seconds = time.perf_counter() - start
            process.stdout.read()
            message = process.stderr.read().decode(errors="replace").strip()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
    if process.returncode or not sound:
        raise PocketTTSError(
            f"the command in a new process failed with exit code {process.returncode} ({message[-200:] or 'no message'}): "
            "if memory is short, use a smaller model"
        )
    return {"start": seconds, "memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)}


def cpu() -> str:
    """The name of the CPU."""
    try:
        if sys.platform == "darwin":
            return subprocess.run(
                ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True
            ).stdout.strip()
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        # "Model" is the name of an ARM board.
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model")))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
