"""The responses with speech. Each one ends early if its client leaves, stops reading, or exceeds the time of a request."""

import base64
import json
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np

from ..engine import Engine, Stream
from ..errors import BusyError, PocketTTSError
from ..sound.encode import Encoder
from ..sound.formats import FORMATS
from ..tts import TTSModel
from ..words.alignment import Word
from .errors import RequestError
from .models import Entry, Models
from .requests import Speech

STALLED = 60  # seconds without reading, after which a client is disconnected
_CHECK_SECONDS = 0.05  # seconds between checks of each client


@dataclass
class Client:
    """The client of a request.

    Attributes:
        gone: whether it has disconnected.
        hang_up: disconnects it.
        arrived: time of the request, of `monotonic`.
        log_fields: values for the log line of the request.
    """

    gone: Callable[[], bool] = lambda: False
    hang_up: Callable[[], None] = lambda: None
    arrived: float = field(default_factory=monotonic)
    log_fields: dict[str, Any] = field(default_factory=dict)


class Responses:
    """All responses with speech that are in progress: at most `max_responses`."""

    def __init__(self, engine: Engine, models: Models, max_responses: int, max_seconds: float) -> None:
        self.engine, self.models, self.max_seconds = engine, models, max_seconds
        self._places = threading.BoundedSemaphore(max_responses)
        self._live: set[Response] = set()
        self._closing = False
        self._change = threading.Condition()
        self._watcher = threading.Thread(target=self._watch, name="pockettts-watch", daemon=True)
        self._watcher.start()

    def start(self, speech: Speech, client: Client) -> "Response":
        """A response that has its first audio. The caller closes it.

        This may take a while, because the model may have to be loaded and the voice cloned.

        Raises:
            BusyError: all places are taken, also those to wait.
            PocketTTSError: any other error before the first audio.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("all places are taken: try again in a moment")
        entry = self.models.entry(speech.model)
        held = False
        try:
            if isinstance(speech.voice, str):
                entry.names.find(speech.voice)  # raises for an unknown voice, before a model is loaded
            model, default = self.models.acquire(entry, client.arrived + self.max_seconds, client.gone)
            held = True
            state = self.models.voices.state(model, entry.names, default, speech.voice)
            if client.gone():
                raise RequestError("the client left", 499)
            stream = self.engine.submit(model, speech.text, state, speech.options, speech.words)
            speech = replace(speech, voice=None)  # an upload need not stay in memory
            response = Response(self, entry, model, stream, speech, client)
        except BaseException:
            if held:
                self.models.release(entry)
            self._places.release()
            raise
        with self._change:
            self._live.add(response)
            self._change.notify()
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        return response

    def end(self, response: "Response") -> None:
        """Called once by each response when it ends."""
        with self._change:
            self._live.discard(response)
            self._change.notify_all()
        self.models.release(response.entry)
        self._places.release()

    def drain(self, seconds: float) -> bool:
        """Wait up to `seconds` for all responses to end. Returns whether they have ended."""
        with self._change:
            return self._change.wait_for(lambda: not self._live, seconds)

    def close(self) -> None:
        """End the thread that checks the clients."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._watcher.join()

    def _watch(self) -> None:
        """End the responses of clients that left, stopped reading or ran out of time. Their own threads may be blocked."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._live or self._closing)
                if self._closing:
                    return
                live = list(self._live)
            for response in live:
                response.check_client()
            with self._change:
                self._change.wait_for(lambda: self._closing, _CHECK_SECONDS)


class Response:
    """The speech for one client: an iterator over bytes in the requested format. Closing it frees its place.

    An error that it raises midway must not look like the end of the audio to the client. Server-sent events end with an error event.
    """

    def __init__(
        self, responses: Responses, entry: Entry, model: TTSModel, stream: Stream, speech: Speech, client: Client
    ) -> None:
        self.entry = entry
        self._responses, self._model, self._stream, self._speech, self._client = (
            responses,
            model,
            stream,
            speech,
            client,
        )
        self._rate = model.sample_rate
        self._until = client.arrived + responses.max_seconds
        self._handed_over: float | None = None  # when bytes were handed over that the client may not have read yet
        self._end_reason: RequestError | None = None
        self._closed = False
        self._samples = 0
        self._sent_words = 0  # number of words that were sent
        self._unit = "word" if self._model.config.alignment_heads else "chunk"
        self._pieces: Generator[bytes, None, None] = {
            "audio": self._audio,
            "events": self._events,
            "captions": self._captions,
        }[speech.wrapping]()
        self._first = b""

    def begin(self) -> None:
        """Wait for the first audio."""
        self._first = next(self._pieces, b"")
        self._client.log_fields["ttfa"] = monotonic() - self._client.arrived

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._handed_over = None
        first, self._first = self._first, b""
        piece = first or next(self._pieces)
        self._handed_over = monotonic()
        return piece

    def _blocks(self) -> Iterator[np.ndarray]:
        for block in self._stream:
            self._samples += len(block)
            yield block
        if self._end_reason:  # `check_client` has ended the stream
            raise self._end_reason

    def _encoded(self) -> Generator[bytes, None, None]:
        """The audio as a stream, of unknown length."""
        encoder = Encoder(self._speech.format, self._rate)
        for block in self._blocks():
            if data := encoder.write(block):
                yield data
        if data := encoder.close():
            yield data

    def _audio(self) -> Generator[bytes, None, None]:
        """The audio without a wrapping."""
        if self._speech.whole:
            yield self._whole()
        else:
            yield from self._encoded()

    def _whole(self) -> bytes:
        """All of the audio, with its length in the header, as in a file."""
        encoder = Encoder(self._speech.format, self._rate, seekable=True)
        audio = bytearray()
        for block in self._blocks():
            audio += encoder.write(block)
        audio += encoder.close()
        for offset, data in encoder.patches:
            audio[offset : offset + len(data)] = data
        return bytes(audio)

    def _events(self) -> Generator[bytes, None, None]:
        """OpenAI's server-sent events, and `speech.audio.words`, which is an extension."""
        begun = False
        try:
            for piece in self._encoded():
                yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
                begun = True
                yield from self._word_event()
            yield from self._word_event()
        except PocketTTSError as error:
            if begun:
                content = {"message": str(error), "type": "server_error", "param": None, "code": None}
                yield _event({"type": "error", "error": content})
            raise
        usage = {
            "input_tokens": len(self._model.tokenizer.encode(self._speech.text)),
            "output_tokens": round(self._samples / self._rate * self._model.config.mimi.frame_rate),
        }
        yield _event({"type": "speech.audio.done", "usage": usage | {"total_tokens": sum(usage.values())}})

    def _word_event(self) -> Iterator[bytes]:
        if words := self._new_words():
            content = [{"word": word.text, "start": word.start, "end": word.end} for word in words]
            yield _event({"type": "speech.audio.words", "unit": self._unit, "words": content})

    def _captions(self) -> Generator[bytes, None, None]:
        """Kokoro-FastAPI's JSON: one object, or one in each line. Times are seconds since the start of the speech."""
        if self._speech.whole:
            yield self._caption(self._whole())
            return
        for piece in self._encoded():
            yield self._caption(piece) + b"\n"
        if rest := self._new_words():
            yield self._caption(b"", rest) + b"\n"

    def _caption(self, audio: bytes, words: list[Word] | None = None) -> bytes:
        words = self._new_words() if words is None else words
        times = [{"word": word.text, "start_time": word.start, "end_time": word.end} for word in words]
        content = {
            "audio": base64.b64encode(audio).decode(),
            "audio_format": FORMATS[self._speech.format].media_type,
            "timestamps": times if self._speech.words else None,
        }
        return json.dumps(content).encode()

    def _new_words(self) -> list[Word]:
        """The words that were timed since the last call."""
        words = self._stream.words[self._sent_words :] if self._speech.words else []
        self._sent_words += len(words)
        return words

    def check_client(self) -> None:
        """End the response if the client left, stopped reading, or ran out of time. Called by another thread."""
        now = monotonic()
        if self._end_reason:
            return
        if self._client.gone():
            self._end_reason = RequestError("the client left", 499)
        elif now > self._until:
            status = 413 if self._samples else 503  # clients try again after a 503
            self._end_reason = RequestError(
                f"this took longer than {self._responses.max_seconds:g} seconds: send less at once", status
            )
        elif self._handed_over is not None and now - self._handed_over > STALLED:
            self._end_reason = RequestError(f"the client did not read for {STALLED} seconds", 499)
        else:
            return
        self._stream.close()
        if self._handed_over is not None:
            self._client.hang_up()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._pieces.close()
            self._responses.end(self)
            self._client.log_fields |= {"audio": self._samples / self._rate, "rtf": self._stream.rtf}


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
