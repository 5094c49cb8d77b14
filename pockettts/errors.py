"""What can go wrong, in words for people: every message is one line that names the input, what was wrong, what to do."""


class PocketTTSError(Exception):
    """Base of all errors that a user can cause or mend. `str(error)` is one clear line."""


class ConfigError(PocketTTSError):
    """A model name that is not known, or a YAML that does not describe a model."""


class WeightsError(PocketTTSError):
    """A weights file that is damaged, incomplete, or belongs to another model."""


class DownloadError(PocketTTSError):
    """A file that is neither here nor to be had."""


class GatedError(DownloadError):
    """A file on the hub whose terms the user has not accepted, or who is not logged in (401, 403)."""


class VoiceError(PocketTTSError):
    """A voice that is not known, not readable, or not of this model."""


class TextError(PocketTTSError):
    """Text that can't be spoken."""


class AudioError(PocketTTSError):
    """A sound file that can't be read or written."""


class OptionError(PocketTTSError):
    """An option whose value makes no sense."""


class BusyError(PocketTTSError):
    """A server that has no place for one more stream, or is stopping: later may be better."""
