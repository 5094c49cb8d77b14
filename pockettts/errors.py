"""The errors of this package. Each message is one line that names the input, what is wrong, and what to do."""


class PocketTTSError(Exception):
    """The base class: an error that a user can cause or correct. `str(error)` is one line."""


class ConfigError(PocketTTSError):
    """An unknown model name, or a file that does not describe a model."""


class WeightsError(PocketTTSError):
    """A weights file is damaged, incomplete, or of another model."""


class DownloadError(PocketTTSError):
    """A file is not on this machine and can't be downloaded."""


class GatedError(DownloadError):
    """A file on the hub needs accepted terms or a login (401, 403)."""


class VoiceError(PocketTTSError):
    """A voice is unknown, unreadable, or of another model."""


class TextError(PocketTTSError):
    """A text can't be spoken."""


class AudioError(PocketTTSError):
    """A sound file can't be read or written."""


class OptionError(PocketTTSError):
    """An option has an invalid value."""


class BusyError(PocketTTSError):
    """A server is full or stopping. Try again later."""
