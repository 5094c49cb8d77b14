"""`pockettts bench`: measure how fast a model runs on this machine."""

import argparse
import sys

from .common import add_model_options, add_numbers, add_precision, config_of, print_message


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, default="english")
    add_precision(parser)
    add_numbers(parser, "threads")
    parser.add_argument(
        "--streams", action="store_true", help="measure several texts at once, and the same texts one after another"
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")


def run(args: argparse.Namespace) -> None:
    import json

    from ..bench import bench

    config = config_of(args)
    show_progress = not args.quiet and sys.stderr is not None and sys.stderr.isatty()

    def progress(line: str) -> None:
        if show_progress:
            print_message(f"{line:<40}", end="\r")

    measure, table = (bench.run_streams, bench.streams_table) if args.streams else (bench.run, bench.table)
    report = measure(config, args.precision, args.threads, progress)
    progress("")
    print(json.dumps(report, indent=2) if args.json else table(report))
