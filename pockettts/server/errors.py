"""Errors as HTTP: a status and JSON, in OpenAI's form on /v1/, in the official server's form on /tts, else `{"error": message}`."""

import json
from http.client import responses

from ..errors import AudioError, BusyError, OptionError, PocketTTSError, TextError, VoiceError

_STATUS = {TextError: 422, OptionError: 422, VoiceError: 422, AudioError: 422, BusyError: 503}
_OFFICIAL_400 = (
    None,
    "voice",
    "voice_url",
    "voice_wav",
)  # the official server returns 400 for wrong values of these fields
RETRY_AFTER = "1"  # seconds, about the time to speak a sentence


class RequestError(PocketTTSError):
    """A request that gets an error response.

    Attributes:
        status: HTTP status; 422 means a wrong value.
        param: the field with the wrong value.
    """

    def __init__(self, message: str, status: int = 422, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param = status, param


def status_of(error: PocketTTSError) -> int:
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def error_response(path: str, status: int, message: str, param: str | None = None) -> tuple[str, dict[str, str], bytes]:
    """The status line, headers and body of an error response.

    Args:
        path: path of the request; it determines the form of the body.
        status: HTTP status. 422, for a wrong value, may become 400, as on OpenAI's servers and the official one.
        message: one line for people.
        param: the field with the wrong value.
    """
    headers = {"Content-Type": "application/json"}
    body: dict[str, object]
    if f"{path}/".startswith("/v1/"):
        status = 400 if status == 422 else status
        kind = "invalid_request_error" if status < 500 else "server_error"
        body = {"error": {"message": message, "type": kind, "param": param, "code": None}}
    elif path == "/tts":
        status = 400 if status == 422 and param in _OFFICIAL_400 else status
        body = {"detail": [_field_error(message, param)] if status == 422 else message}
    else:
        body = {"error": message}
    if status in (429, 503):
        headers["Retry-After"] = RETRY_AFTER
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = json.dumps(body).encode()
    headers["Content-Length"] = str(len(content))
    return f"{status} {responses.get(status, 'Error')}", headers, content


def _field_error(message: str, param: str | None) -> dict[str, object]:
    """A field error in the format of FastAPI, which the official server uses."""
    kind = "missing" if " is missing" in message else "value_error"
    return {"type": kind, "loc": ["body", param], "msg": message, "input": None}
