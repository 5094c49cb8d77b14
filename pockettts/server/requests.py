"""Parses the bodies of requests, in the forms of this server, of the official server, of OpenAI and of Kokoro-FastAPI."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

import bottle

from ..errors import AudioError, OptionError
from ..options import NUMBERS, Options
from ..sound.formats import SERVED
from .errors import RequestError
from .settings import Settings

# The options of speech by the names that requests may use; lsd_steps is the Rust port's, volume_multiplier Kokoro-FastAPI's.
SPEECH_OPTIONS = {field.name: NUMBERS[field.name] for field in fields(Options) if field.name in NUMBERS} | {
    "lsd_steps": NUMBERS["lsd_decode_steps"],
    "volume_multiplier": NUMBERS["volume"],
}
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{100,}")  # longer than the name of any voice


OptionsOf: TypeAlias = Callable[[str | None], Options]  # the defaults of the model that a request names


@dataclass(frozen=True, kw_only=True)
class Speech:
    """A parsed request for speech.

    Attributes:
        voice: a name or a URL (str), the content of a file (bytes), or None for the default voice.
        model: a name; None: the first model of the server.
        format: of the audio.
        wrapping: bare audio, OpenAI's server-sent events, or JSON objects with audio and the times of words.
        whole: send the response when it is complete.
        words: send the times of words.
    """

    text: str
    voice: str | bytes | None
    options: Options
    model: str | None = None
    format: str = "wav"
    wrapping: Literal["audio", "events", "captions"] = "audio"
    whole: bool = False
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A voice to add: its name, the content of a file, and the suffix of the file's name."""

    name: str
    data: bytes
    suffix: str
    model: str | None


def from_json(
    request: bottle.BaseRequest, settings: Settings, defaults_of_model: OptionsOf, whole: bool = False
) -> Speech:
    """The body of /generate (whole: a WAV) and of /stream (PCM)."""
    data = _json(request)
    return Speech(**_common(data, "text", settings, defaults_of_model), format="wav" if whole else "pcm", whole=whole)


def from_form(request: bottle.BaseRequest, settings: Settings, defaults_of_model: OptionsOf) -> Speech:
    """The body of /tts, multipart or urlencoded: `text`, `voice_url` or an upload, `voice_wav`, and options such as `speed`."""
    data = _form(request)
    text = _text(data, "text", settings, status_if_blank=400)  # the official server's
    upload = request.files.get("voice_wav")
    if "voice_wav" in data:
        raise RequestError("voice_wav is not a file: upload it with a file name", 400, "voice_wav")
    voice: str | bytes | None = data.get("voice_url")
    if upload is not None:
        content = upload.file.read(settings.max_upload + 1)
        if voice and content:
            raise RequestError("give voice_url or voice_wav, not both", param="voice_wav")
        voice = _check_size(content, settings, "voice_wav") or voice
    options = _options(data | _numbers(data), defaults_of_model(data.get("model")))
    return Speech(text=text, voice=voice, options=options, model=data.get("model"))


def from_openai(request: bottle.BaseRequest, settings: Settings, defaults_of_model: OptionsOf) -> Speech:
    """The body of /v1/audio/speech. Other fields of OpenAI's, such as `instructions`, are ignored.

    A WAV is sent when it is complete, with its length in its header, because some players need that. A request that asks for a
    stream gets a stream.
    """
    data = _json(request)
    format = _format(data)
    stream_format = _choice(data, "stream_format", "audio", "sse")
    stream, words = _flag(data, "stream"), bool(_flag(data, "timestamps"))
    if words and stream_format != "sse":
        raise RequestError(
            "timestamps need stream_format sse: set that, or use /dev/captioned_speech", param="timestamps"
        )
    bare = stream_format != "sse"
    whole = bare and (stream is False or (format == "wav" and stream is None and stream_format is None))
    return Speech(
        **_common(data, "input", settings, defaults_of_model),
        format=format,
        wrapping="audio" if bare else "events",
        whole=whole,
        words=words,
    )


def from_captioned(request: bottle.BaseRequest, settings: Settings, defaults_of_model: OptionsOf) -> Speech:
    """The body of /dev/captioned_speech, as Kokoro-FastAPI's: that of /v1/audio/speech, with `stream` and `return_timestamps`."""
    data = _json(request)
    return Speech(
        **_common(data, "input", settings, defaults_of_model),
        format=_format(data),
        wrapping="captions",
        whole=_flag(data, "stream") is False,
        words=_flag(data, "return_timestamps") is not False,
    )


def from_upload(request: bottle.BaseRequest, settings: Settings) -> Upload:
    """The body of POST /v1/audio/voices, as OpenAI's: `name`, a file `audio_sample`, and optionally `consent`, which is ignored."""
    if (kind := _media_type(request)) == "application/json":
        raise RequestError(
            f"the body is {kind}: send a form, as multipart/form-data, with the recording as a file", 415
        )
    data, upload = _form(request), request.files.get("audio_sample")
    if not data.get("name"):
        raise RequestError("name is missing: give the voice a name", param="name")
    content = upload.file.read(settings.max_upload + 1) if upload is not None else b""
    if not content:
        raise RequestError("audio_sample is missing: send a recording as a file", param="audio_sample")
    suffix = PurePosixPath(upload.raw_filename or "").suffix
    return Upload(
        name=data["name"], data=_check_size(content, settings, "audio_sample"), suffix=suffix, model=data.get("model")
    )


def _common(data: dict[str, Any], text: str, settings: Settings, defaults_of_model: OptionsOf) -> dict[str, Any]:
    """The attributes of Speech that all JSON bodies set. text: the name of the field with the text."""
    model = _string(data, "model")
    return {
        "text": _text(data, text, settings),
        "voice": _voice(data, settings),
        "options": _options(data, defaults_of_model(model)),
        "model": model,
    }


def _form(request: bottle.BaseRequest) -> dict[str, str]:
    """The fields of a form, without the empty ones that browsers send."""
    try:
        forms, _ = request.forms, request.files
        data = {name: forms.getunicode(name) for name in forms}
    except bottle.HTTPError:
        raise RequestError("the body is not a form that can be read: send multipart/form-data", 400) from None
    except (UnicodeError, ValueError):
        data = {"": None}
    if None in data.values():
        raise RequestError("the form is not UTF-8: send an uploaded file with a file name", 400)
    return {name: value for name, value in data.items() if value}


def _format(data: dict[str, Any]) -> str:
    wanted = _string(data, "response_format") or "mp3"
    if wanted not in SERVED:
        raise RequestError(
            f"response_format {wanted[:20]!r} is not offered: use {', '.join(SERVED)}", 400, "response_format"
        )
    try:
        SERVED[wanted].check()
    except AudioError as error:
        raise RequestError(f"response_format {error}", 400, "response_format") from None
    return wanted


def _choice(data: dict[str, Any], name: str, *choices: str) -> str | None:
    value = _string(data, name)
    if value is not None and value not in choices:
        raise RequestError(f"{name} {value[:20]!r} is not known: use {' or '.join(choices)}", param=name)
    return value


def _flag(data: dict[str, Any], name: str) -> bool | None:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(f"{name} must be true or false", param=name)
    return value


def _json(request: bottle.BaseRequest) -> dict[str, Any]:
    kind = _media_type(request)
    if kind not in ("application/json", ""):
        raise RequestError(f"the body is {kind[:60]}: send JSON, with `Content-Type: application/json`", 415)
    try:
        data = json.loads(request.body.read())
    except (ValueError, RecursionError) as error:  # ValueError also for bad UTF-8 and numbers of 5,000 digits
        raise RequestError(f"the body is not JSON ({str(error)[:100]})", 400) from None
    if not isinstance(data, dict):
        raise RequestError("the body is not a JSON object", 400)
    return data


def _media_type(request: bottle.BaseRequest) -> str:
    kind: str = request.content_type.partition(";")[0].strip().lower()
    return kind


def _string(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{name} must be text", param=name)
    return value


def _text(data: dict[str, Any], name: str, settings: Settings, status_if_blank: int = 422) -> str:
    text = _string(data, name)
    if text is None:
        raise RequestError(f"{name} is missing: give at least one word", param=name)
    if not text.strip():
        raise RequestError(f"{name} is empty: give at least one word", status_if_blank, name)
    if len(text) > settings.max_text:
        raise RequestError(
            f"{name} has {len(text):,} characters: send at most {settings.max_text:,} at once", 413, name
        )
    return text


def _voice(data: dict[str, Any], settings: Settings) -> str | bytes | None:
    """A name or a URL (str); or the bytes of a recording or voice state, which come in base64, with or without `data:...;base64,`."""
    voice = data.get("voice")
    if isinstance(voice, dict):  # OpenAI's custom voices
        voice = voice.get("id")
        if not voice:
            raise RequestError('voice has no id: give a name, or {"id": NAME}', param="voice")
    voice = _string({"voice": voice}, "voice")
    if not voice:
        return None
    is_data = voice.startswith("data:")
    if not is_data and not _BASE64.fullmatch(voice):
        return voice
    content = voice.partition(",")[2] if is_data else voice
    if len(content) > settings.max_upload * 3 // 2:
        raise _too_large(settings, "voice")
    try:
        decoded = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("voice is not base64 that can be read", param="voice") from None
    if not decoded:
        raise RequestError("voice is empty", param="voice")
    return _check_size(decoded, settings, "voice")


def _check_size(content: bytes, settings: Settings, name: str) -> bytes:
    if len(content) > settings.max_upload:
        raise _too_large(settings, name)
    return content


def _too_large(settings: Settings, name: str) -> RequestError:
    return RequestError(
        f"{name} is larger than {settings.max_upload / 2**20:g} MB: a recording of 30 seconds is enough", 413, name
    )


def _numbers(data: dict[str, str]) -> dict[str, float]:
    """The options of speech among the fields of a form, as numbers."""
    numbers = {}
    for name in data.keys() & SPEECH_OPTIONS.keys():
        option = SPEECH_OPTIONS[name]
        try:
            numbers[name] = option.kind(data[name])
        except ValueError:  # not a number, or one with thousands of digits
            raise RequestError(f"{name} {data[name][:20]!r}: give {option.range}", param=name) from None
    return numbers


def _options(data: dict[str, Any], defaults: Options) -> Options:
    numbers = {}
    for name, option in SPEECH_OPTIONS.items():  # each one is checked, also where two names of one option are given
        if (value := data.get(name)) is not None:
            try:
                numbers[option.name] = replace(option, name=name).check(value)
            except OptionError as error:
                raise RequestError(str(error), param=name) from None
    return defaults.replace(**numbers, verbatim=_is_verbatim(data.get("normalize")))


def _is_verbatim(normalize: object) -> bool | None:
    """The opposite of `normalize`, which is a boolean, or text in a form; None: the default of the server."""
    known = {"true": False, "1": False, "yes": False, "false": True, "0": True, "no": True}
    if normalize is None or isinstance(normalize, bool):
        return None if normalize is None else not normalize
    if not isinstance(normalize, str) or normalize.lower() not in known:
        raise RequestError("normalize must be true or false", param="normalize")
    return known[normalize.lower()]
