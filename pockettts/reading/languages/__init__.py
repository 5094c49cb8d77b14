"""The languages, by code or name."""

from functools import lru_cache
from importlib import import_module

from .base import Language

CODES = {
    "english": "en", "german": "de", "spanish": "es", "french": "fr", "italian": "it", "portuguese": "pt", "dutch": "nl",
}  # fmt: skip


def language_code(name: str | None) -> str:
    """The code of a language by code or name: "en" of "en", "EN-gb", "english" and "english_24l". Unknown names are returned as they are."""
    key = (name or "").lower().replace("-", "_").partition("_")[0]
    return CODES.get(key, key)


@lru_cache
def find_language(name: str | None) -> Language:
    """A language by code or name.

    For an unknown language only rules without words apply: numbers and symbols stay as they are.
    """
    code = language_code(name)
    if code not in CODES.values():
        return Language()
    module = import_module(f".{code}", __name__)
    found: Language = module.LANGUAGE
    return found
