"""Errors as HTTP: a status and JSON, on /v1/ in OpenAI's shape."""

import json
from http.client import responses

from ..errors import AudioError, BusyError, OptionError, PocketTTSError, TextError, VoiceError

_STATUS = {TextError: 422, OptionError: 422, VoiceError: 422, AudioError: 422, BusyError: 503}
RETRY_AFTER = "1"  # seconds: about one sentence


class RequestError(PocketTTSError):
    """A request that is answered with an error.

    status: HTTP's; 422 is a value that makes no sense. param: the field that is to blame.
    """

    def __init__(self, message: str, status: int = 422, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param = status, param


def status_of(error: PocketTTSError) -> int:
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def answer(path: str, status: int, message: str, param: str | None = None) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body of an error. What is 422 elsewhere is 400 with OpenAI."""
    headers = {"Content-Type": "application/json"}
    if path.startswith("/v1/"):
        status = 400 if status == 422 else status
        kind = "invalid_request_error" if status < 500 else "server_error"
        error: object = {"message": message, "type": kind, "param": param, "code": None}
    else:
        error = message
    if status in (429, 503):
        headers["Retry-After"] = RETRY_AFTER
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps({"error": error}).encode()
    headers["Content-Length"] = str(len(body))
    return f"{status} {responses.get(status, 'Error')}", headers, body
