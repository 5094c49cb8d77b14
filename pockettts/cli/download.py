"""`pockettts download`: fetch a model and voices, to speak without a network."""

import argparse

from .common import config_of, print_message


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model of `pockettts models`, or a config file")
    parser.add_argument(
        "voices", metavar="VOICE", nargs="*", help="voices to fetch (default: the default voice of the model)"
    )


def run(args: argparse.Namespace) -> None:
    from ..config.load import download_model
    from ..storage import hub
    from ..voices import catalog as voices

    config = config_of(args)
    wanted = [voices.find(voice, config) for voice in args.voices or [voices.default_voice(config)]]
    files = download_model(config, map(str, wanted))
    for file in files:
        print(file)
    if not args.quiet:
        size = sum(file.stat().st_size for file in files) / 1e6
        print_message(f"{config.name}: {len(files)} files, {size:.1f} MB, all that it takes to speak without a network")
        if config.weights_path and not hub.is_cached(config.weights_path):
            print_message(
                f"to clone voices as well, accept the terms at {voices.gated_page(config)}, log in with "
                "`hf auth login`, and run this again"
            )
