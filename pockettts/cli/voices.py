"""`pockettts voices`: the voices of a model."""

import argparse

from .common import add_model_options, config_of


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)


def run(args: argparse.Namespace) -> None:
    from ..voices import catalogue as voices

    config = config_of(args)
    for name in voices.names(config):
        print(name + " (default)" * (name == voices.default_voice(config)))
