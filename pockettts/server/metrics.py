"""Metrics in the text format of Prometheus, which is simple enough without a library."""

import threading
from collections import Counter
from collections.abc import Iterable

from ..engine import Histogram

Sample = tuple[str, dict[str, str], float]  # a suffix of the name, labels, a value


class LabeledCounter:
    """A counter with labels. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[tuple[str, str], ...]] = Counter()

    def add(self, **labels: str) -> None:
        with self._lock:
            self._counts[tuple(labels.items())] += 1

    def samples(self) -> list[Sample]:
        with self._lock:
            return [("", dict(labels), count) for labels, count in sorted(self._counts.items())]


def family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> str:
    """The lines of one metric; kind is counter, gauge or histogram."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    return (
        "\n".join(lines + [f"{name}{suffix}{_labels(labels)} {value:.10g}" for suffix, labels, value in samples]) + "\n"
    )


def buckets(histogram: Histogram) -> list[Sample]:
    """The samples of a histogram with cumulative counts."""
    bounds = [f"{bound:g}" for bound in histogram.bounds] + ["+Inf"]
    counts = [*histogram.counts, histogram.count]
    samples: list[Sample] = [("_bucket", {"le": bound}, count) for bound, count in zip(bounds, counts, strict=True)]
    return samples + [("_sum", {}, histogram.sum), ("_count", {}, histogram.count)]


def _labels(labels: dict[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(quoted) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
