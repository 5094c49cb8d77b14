"""The default model: which one to use if the caller names none."""

import logging
import os

from .config.load import BUNDLED_MODEL, DEFAULT_MODEL, download_model, is_downloaded, load_config
from .config.schema import Config
from .errors import ConfigError, DownloadError
from .storage import hub
from .voices import catalog as voices

VARIABLE = "POCKETTTS_MODEL"  # an environment variable: the name or the config of the model to use

logger = logging.getLogger("pockettts")


def default_config(voice: str | None = None) -> Config:
    """The model that POCKETTTS_MODEL names; else `english`, which is downloaded if necessary; else the bundled model.

    The bundled model is used, with a warning, if `english` is not on this machine and can't be downloaded.

    Args:
        voice: the requested voice. The bundled model is used only if it has this voice.

    Raises:
        ConfigError: POCKETTTS_MODEL names no model.
        DownloadError: the config that it names can't be downloaded.
    """
    if named := os.environ.get(VARIABLE):
        try:
            return load_config(named)
        except ConfigError as error:
            raise ConfigError(f"{VARIABLE}={named[:60]}: {error}") from None
    full, bundled = load_config(DEFAULT_MODEL), load_config(BUNDLED_MODEL)
    if is_downloaded(full) and (voice is not None or hub.is_cached(voices.source(voices.default_voice(full), full))):
        return full
    if voice is not None and voice not in voices.names(bundled):
        return full
    if not hub.is_reachable():
        _warn_of_bundled(full, "there is no network")
        return bundled
    logger.warning(
        "downloading the model %s once, %s; `--variant %s` or %s=%s needs no download",
        full.name,
        _size(full),
        bundled.name,
        VARIABLE,
        bundled.name,
    )
    try:
        download_model(full, [voice] if voice in voices.names(full) else [])
    except DownloadError as error:
        _warn_of_bundled(full, str(error))
        return bundled
    return full


def _warn_of_bundled(full: Config, reason: str) -> None:
    logger.warning(
        "this is %s, the small bundled voice (%s); `pockettts download %s` gets the full one, %s",
        BUNDLED_MODEL,
        reason,
        full.name,
        _size(full),
    )


def _size(config: Config) -> str:
    return f"{2 * (config.parameters or 0) / 1e6:.0f} MB"
