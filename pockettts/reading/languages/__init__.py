"""The languages, by code or name."""

from functools import lru_cache
from importlib import import_module

from .base import Language

NAMES = {
    "en": "en", "english": "en", "de": "de", "german": "de", "es": "es", "spanish": "es", "fr": "fr", "french": "fr",
    "it": "it", "italian": "it", "pt": "pt", "portuguese": "pt", "nl": "nl", "dutch": "nl",
}  # fmt: skip


@lru_cache
def find_language(name: str | None) -> Language:
    """A language by code ("en", "en-GB", "pt_BR") or name ("english", "german_24l").

    Of an unknown one there are only the rules that need no words: numbers and symbols stay as they are.
    """
    key = (name or "").lower().replace("-", "_")
    code = NAMES.get(key) or NAMES.get(key.split("_")[0])
    if code is None:
        return Language()
    return import_module(f".{code}", __name__).LANGUAGE
