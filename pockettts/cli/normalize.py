"""`pockettts normalize`: what would be spoken of a text, without a model."""

import argparse
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..reading.normalize import Normalizer, clean_text, find_normalizer
from .common import add_document_options, add_reading_options, apparatus_of

if TYPE_CHECKING:
    from ..config.schema import Config
    from ..reading.tokenizer import Tokenizer

logger = logging.getLogger("pockettts")


def add_options(parser: argparse.ArgumentParser) -> None:
    text = parser.add_mutually_exclusive_group()
    text.add_argument(
        "words", nargs="?", metavar="TEXT", help="a text, or the name of a file; without it, stdin is read"
    )
    text.add_argument("-t", "--text", help="the same")
    text.add_argument("-f", "--file", help="a file, as for `pockettts generate`; `-` is stdin")
    parser.add_argument(
        "--language",
        "--variant",
        "--model",
        default="en",
        metavar="LANG",
        help="en, de, es, fr, it, pt, nl, or the name of a model (default: en)",
    )
    parser.add_argument("--chunks", action="store_true", help="a line for each chunk, as the model gets it")
    add_document_options(parser)
    add_reading_options(parser)


def run(args: argparse.Namespace) -> None:
    """Print a line for each line of plain text; of a document a line for each paragraph, and an empty one between chapters."""
    from ..reading.languages import CODES, language_code

    if language_code(args.language) not in CODES.values():
        known = ", ".join(CODES.values())
        logger.warning("--language %s is not known: numbers stay as they are; take %s", args.language, known)
    normalizer = find_normalizer(args.language, args.verbatim, args.lexicon, args.emoji)
    texts, is_document = _texts(args)
    read = _chunker(args.language, normalizer) if args.chunks else lambda text: spoken_lines(text, normalizer)
    for number, text in enumerate(texts):
        if number and is_document:
            print()
        for line in read(text):
            if line or not is_document:
                print(line)


def spoken_lines(text: str, normalizer: Normalizer | None) -> Iterator[str]:
    """What is spoken of each line of a text; nothing of a line that has nothing to pronounce. Pauses stay as marks."""
    from ..reading.inline_markup import BREAK, is_ssml

    if normalizer is None:
        yield from text.split("\n")
        return
    text = clean_text(text)
    for line in [text] if is_ssml(text) else text.split("\n"):
        yield _spoken(line.replace(BREAK, " "), normalizer)


def _spoken(line: str, normalizer: Normalizer) -> str:
    from ..reading.pauses import MARKS, Pause, split_at_pauses

    pieces = split_at_pauses(line, 0, normalizer.emoji)
    if not MARKS.search(line):  # a pause that only shows
        pieces = [piece for piece in pieces if not isinstance(piece, Pause)]
    return " ".join(
        f"[pause:{piece.seconds:g}s]" if isinstance(piece, Pause) else normalizer.normalize(piece).text
        for piece in pieces
    )


def _texts(args: argparse.Namespace) -> tuple[list[str], bool]:
    """The texts that are given, chapter by chapter, and whether they are of a document and not of plain text."""
    from ..documents.reader import read_any

    text, file = _text_or_file(args)
    if text is None:
        document = read_any(0 if file == "-" else file, apparatus_of(args))
        if document.plain is None:
            return [chapter.text for chapter in document.chapters], True
        text = document.plain
    return [re.sub(r"\r\n?", "\n", text).removesuffix("\n")], False


def _text_or_file(args: argparse.Namespace) -> tuple[str | None, str]:
    """The text; or None and a file, "-" for stdin. An argument names a file by the rule of `pockettts generate`.

    Raises OptionError: the file does not exist.
    """
    from ..books.batch import expanded, is_path, warn_of_name

    word = args.words
    if word is not None and is_path(word):
        return None, word if os.path.isdir(word) else expanded([word])[0]
    if word is not None and word != "-":
        warn_of_name(word)
        return word, "-"
    return args.text if args.text != "-" else None, args.file or "-"


def _chunker(language: str, normalizer: Normalizer | None) -> Callable[[str], Iterator[str]]:
    """What makes chunks of a text, each on one line."""
    from ..options import Options
    from ..reading.chunks import Chunk, split_text

    config, tokenizer = _rules(language)

    def chunks(text: str) -> Iterator[str]:
        if text.strip():
            parts = split_text(text, tokenizer, config, Options.max_tokens, 0, normalizer)
            yield from (" ".join(part.text.split()) for part in parts if isinstance(part, Chunk))

    return chunks


def _rules(language: str) -> "tuple[Config, Tokenizer]":
    """The config and the tokenizer of a language's model; of the bundled model, if the tokenizer is not on this machine."""
    from ..config.load import BUNDLED_MODEL, load_config, model_names
    from ..reading.languages import CODES, language_code
    from ..reading.tokenizer import load_tokenizer
    from ..storage.hub import is_cached, local_path

    names = {code: name for name, code in CODES.items()}
    name = language if language in model_names() else names.get(language_code(language), names["en"])
    config = load_config(name)
    table = config.flow_lm.lookup_table
    if not is_cached(table.tokenizer_path):
        logger.warning("the tokenizer of %s is not on this machine: chunks are those of %s", name, BUNDLED_MODEL)
        table = load_config(BUNDLED_MODEL).flow_lm.lookup_table
    return config, load_tokenizer(local_path(table.tokenizer_path), table.n_bins)
