"""Pocket TTS on any CPU. `TTSModel` is the Python API; `pockettts --help` describes the command line."""

from typing import Any

__all__ = ["PocketTTSError", "TTSModel", "VoiceState", "__version__", "export_model_state"]
__version__ = "1.0.0"

_HOME = {"PocketTTSError": "errors", "TTSModel": "tts", "VoiceState": "voices.state", "export_model_state": "official"}


def __getattr__(name: str) -> Any:
    """Import names lazily, since `pockettts --help` must not wait for NumPy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)
