"""`pockettts models`: list the models, and which are on this machine."""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(args: argparse.Namespace) -> None:
    from ..config.load import is_bundled, is_downloaded, load_config, model_names

    print(f"{'model':<26} {'size':>8}  {'language':<10}  cached")
    for config in map(load_config, model_names()):
        size = f"{2 * config.parameters / 1e6:.0f} MB" if config.parameters else ""  # of a bf16 file
        cached = "bundled" if is_bundled(config) else "yes" if is_downloaded(config) else "no"
        print(f"{config.name:<26} {size:>8}  {config.language:<10}  {cached}")
