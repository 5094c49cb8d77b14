"""Bodies of requests -> what is to be spoken, and how: the dialects of this server, of the official one and of OpenAI."""

import base64
import binascii
import json
import re
from dataclasses import dataclass, fields

import bottle

from ..errors import AudioError
from ..options import NUMBERS, Options
from ..sound.formats import SERVED
from .errors import RequestError
from .settings import Settings

# The options of speech by the names that requests may use; lsd_steps is the Rust port's.
SPEECH_OPTIONS = {field.name: NUMBERS[field.name] for field in fields(Options) if field.name in NUMBERS} | {
    "lsd_steps": NUMBERS["lsd_decode_steps"]
}
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{100,}")  # no voice has such a name


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What a client wants to hear."""

    text: str
    voice: str | bytes | None  # a name or an address; the content of a file; the default
    options: Options
    format: str = "wav"
    events: bool = False  # as server-sent events


def from_json(request: bottle.BaseRequest, settings: Settings, own: Options) -> Speech:
    """The body of /generate and /stream, whose answers are bare samples."""
    data = _json(request)
    return Speech(text=_text(data, "text", settings), voice=_voice(data, settings), options=_options(data, own),
                  format="pcm")  # fmt: skip


def from_form(request: bottle.BaseRequest, settings: Settings, own: Options) -> Speech:
    """The body of /tts, multipart or urlencoded: `text`, `voice_url` or an upload, `voice_wav`, and options such as `speed`."""
    try:
        forms, files = request.forms, request.files
        data = {name: forms.getunicode(name) for name in forms}
    except bottle.HTTPError:
        raise RequestError("the body is no form that can be read: send multipart/form-data", 400) from None
    except (UnicodeError, ValueError):
        raise RequestError("the form is not UTF-8: give a file that is uploaded a file name", 400) from None
    data = {name: value for name, value in data.items() if value}  # browsers send empty fields
    upload = files.get("voice_wav")
    voice = data.get("voice_url")
    if upload is not None:
        content = upload.file.read(settings.max_upload + 1)
        if voice and content:
            raise RequestError("give voice_url or voice_wav, not both", param="voice_wav")
        voice = _limited(content, settings, "voice_wav") or voice
    options = _options(data | _numbers(data), own)
    return Speech(text=_text(data, "text", settings), voice=voice, options=options)


def from_openai(request: bottle.BaseRequest, settings: Settings, own: Options) -> Speech:
    """The body of /v1/audio/speech. What else OpenAI knows, such as `instructions`, is passed over."""
    data = _json(request)
    wanted = _string(data, "response_format") or "mp3"
    if wanted not in SERVED:
        raise RequestError(
            f"response_format {wanted[:20]!r} is not offered: take {', '.join(SERVED)}", 400, "response_format"
        )
    try:
        SERVED[wanted].check()
    except AudioError as error:
        raise RequestError(f"response_format {error}", 400, "response_format") from None
    stream = _string(data, "stream_format") or "audio"
    if stream not in ("audio", "sse"):
        raise RequestError(f"stream_format {stream[:20]!r} is not known: take audio or sse", param="stream_format")
    return Speech(text=_text(data, "input", settings), voice=_voice(data, settings), options=_options(data, own),
                  format=wanted, events=stream == "sse")  # fmt: skip


def _json(request: bottle.BaseRequest) -> dict:
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind not in ("application/json", ""):
        raise RequestError(f"the body is {kind[:60]}: send JSON, with `Content-Type: application/json`", 415)
    try:
        data = json.loads(request.body.read())
    except (ValueError, RecursionError) as error:  # also of bad UTF-8, and of numbers of 5,000 digits
        raise RequestError(f"the body is not JSON ({str(error)[:100]})", 400) from None
    if not isinstance(data, dict):
        raise RequestError("the body is not a JSON object", 400)
    return data


def _string(data: dict, name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{name} must be text", param=name)
    return value


def _text(data: dict, name: str, settings: Settings) -> str:
    text = _string(data, name)
    if not (text and text.strip()):
        raise RequestError(f"{name} is {'missing' if text is None else 'empty'}: give at least one word", param=name)
    if len(text) > settings.max_text:
        raise RequestError(
            f"{name} has {len(text):,} characters: send at most {settings.max_text:,} at once", 413, name
        )
    return text


def _voice(data: dict, settings: Settings) -> str | bytes | None:
    """A name or an address; or a recording or voice state in base64, with or without `data:...;base64,` before it."""
    voice = data.get("voice")
    if isinstance(voice, dict):  # OpenAI's custom voices
        voice = voice.get("id")
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
    return _limited(decoded, settings, "voice")


def _limited(content: bytes, settings: Settings, name: str) -> bytes:
    if len(content) > settings.max_upload:
        raise _too_large(settings, name)
    return content


def _too_large(settings: Settings, name: str) -> RequestError:
    return RequestError(f"{name} is larger than {settings.max_upload / 2**20:g} MB: 30 seconds are enough", 413, name)


def _numbers(data: dict[str, str]) -> dict[str, float]:
    """The options of speech among the fields of a form, as numbers."""
    try:
        return {name: SPEECH_OPTIONS[name].kind(value) for name, value in data.items() if name in SPEECH_OPTIONS}
    except ValueError:
        name = next(name for name in data if name in SPEECH_OPTIONS and not re.fullmatch(r"[-+.\deE]+", data[name]))
        raise RequestError(f"{name} {data[name][:20]!r}: give {SPEECH_OPTIONS[name].range}", param=name) from None


def _options(data: dict, own: Options) -> Options:
    numbers = {option.name: data[name] for name, option in SPEECH_OPTIONS.items() if data.get(name) is not None}
    return own.replace(**numbers, verbatim=_is_verbatim(data.get("normalize")))


def _is_verbatim(normalize: object) -> bool | None:
    """What `normalize` says: true, false, or the same as text in a form; None is what the server does otherwise."""
    known = {"true": False, "1": False, "yes": False, "false": True, "0": True, "no": True}
    if normalize is None or isinstance(normalize, bool):
        return None if normalize is None else not normalize
    if not isinstance(normalize, str) or normalize.lower() not in known:
        raise RequestError("normalize must be true or false", param="normalize")
    return known[normalize.lower()]
