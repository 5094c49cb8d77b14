"""The Wyoming protocol of Home Assistant and its satellites: describe, synthesize, and synthesize while text arrives.

The protocol has no authentication: anyone who can reach the port can use it. Each connection has a thread. Requests use the same `Responses` as HTTP.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from select import select
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import BinaryIO, cast

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, read_event, write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from .. import __version__
from ..errors import PocketTTSError
from ..reading.languages import find_language, language_code
from ..reading.languages.base import Language
from ..reading.sentences import sentence_ends
from .errors import RequestError
from .models import Entry
from .requests import Speech
from .responses import Client, Responses

KYUTAI = Attribution("Kyutai", "https://huggingface.co/kyutai/pocket-tts")
IDLE_SECONDS = 300  # seconds that a connection may be idle, or not read
MIN_CHARACTERS = 20  # characters; shorter sentences wait for the next one

logger = logging.getLogger("pockettts.requests")


class WyomingServer:
    """A server. The constructor opens its port; from `start` to `close` it serves in its own threads.

    Raises OSError if it can't listen on that port.
    """

    def __init__(self, responses: Responses, host: str, port: int, max_text: int, places: int) -> None:
        self.responses, self.models, self.max_text = responses, responses.models, max_text
        self.places = BoundedSemaphore(places)  # connections
        self._server = _Listener((host, port), self)
        self._thread = Thread(target=self._server.serve_forever, name="pockettts-wyoming", daemon=True)

    @property
    def address(self) -> str:
        host, port = str(self._server.server_address[0]), self.port
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Refuse new connections. Responses in progress continue."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def info(self) -> Info:
        """The voices of all models, each with the language of its model."""
        voices = []
        for entry in self.models.entries.values():
            own = entry.names.own.voices()
            for name in entry.names.all():
                maker = Attribution("", "") if name in own else KYUTAI
                title = name if entry.first else f"{name} ({entry.name})"
                voices.append(TtsVoice(_full_name(entry, name), maker, True, title, None, [_language(entry)]))
        about = f"Pocket TTS, {', '.join(self.models.entries)}"
        return Info(
            tts=[TtsProgram("pockettts", KYUTAI, True, about, __version__, voices, supports_synthesize_streaming=True)]
        )

    def find(self, voice: SynthesizeVoice | None) -> tuple[Entry, str | None]:
        """The model and the voice of a request, which names a voice of `info` or a language. A voice of None is the default voice."""
        name, language = (voice.name or None, voice.language) if voice else (None, None)
        others = [entry for entry in self.models.entries.values() if not entry.first]
        for entry in others if name else ():
            for known in entry.names.all():
                if _full_name(entry, known) == name:
                    return entry, known
        if name is None and language:
            code = language.partition("-")[0].partition("_")[0].lower()
            return next(
                (entry for entry in (self.models.first, *others) if _language(entry) == code), self.models.first
            ), None
        return self.models.first, name


def _full_name(entry: Entry, voice: str) -> str:
    """The name of a voice in `info`, unique among all models."""
    return voice if entry.first else f"{entry.name}/{voice}"


def _language(entry: Entry) -> str:
    return language_code(entry.config.language or "en")


class _Listener(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], wyoming: WyomingServer) -> None:
        self.wyoming = wyoming
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Connection)

    def handle_error(self, *_: object) -> None:
        logger.exception("unexpected error in a Wyoming connection")


class _Connection(StreamRequestHandler):
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: an event is written in pieces, and then flushed

    def handle(self) -> None:
        assert isinstance(self.server, _Listener)
        wyoming = self.server.wyoming
        if not wyoming.places.acquire(blocking=False):
            return
        try:
            self._handle_events(wyoming)
        except OSError:  # the client left
            pass
        finally:
            wyoming.places.release()

    def _handle_events(self, wyoming: WyomingServer) -> None:
        events = self._events(max_bytes=6 * wyoming.max_text + 65536)
        for event in events:
            try:
                if Describe.is_type(event.type):
                    self._send(wyoming.info())
                elif Ping.is_type(event.type):
                    self._send(Pong(Ping.from_event(event).text))
                elif Synthesize.is_type(event.type):
                    wanted = Synthesize.from_event(event)
                    self._speak(wyoming, iter([wanted.text]), wanted.voice)
                elif SynthesizeStart.is_type(event.type):
                    voice = SynthesizeStart.from_event(event).voice
                    language = find_language(_language(wyoming.find(voice)[0]))
                    self._speak(wyoming, _sentences(_texts(events), language), voice)
                    self._send(SynthesizeStopped())
            except PocketTTSError as error:
                self._send(Error(str(error), type(error).__name__))
                return
            except (KeyError, TypeError, AttributeError):
                self._send(Error("this event does not follow the protocol", "protocol"))
                return

    def _speak(self, wyoming: WyomingServer, texts: Iterator[str], voice: SynthesizeVoice | None) -> None:
        """Speak texts one after the other, as one audio stream."""
        entry, name = wyoming.find(voice)
        rate = entry.config.mimi.sample_rate
        begun, left = False, wyoming.max_text
        for text in texts:
            if not isinstance(text, str):
                raise TypeError("text is not a string")
            if len(text) > left:
                raise RequestError(f"the text is too long: at most {wyoming.max_text:,} characters")
            left -= len(text)
            if begun and not text.strip():
                continue
            client = Client(self._is_gone, self._hang_up)
            speech = Speech(text=text, voice=name, options=entry.options, model=entry.name, format="pcm")
            try:
                with closing(wyoming.responses.start(speech, client)) as response:
                    for pcm in response:
                        if not begun:
                            self._send(AudioStart(rate, 2, 1))
                            begun = True
                        self._send(AudioChunk(rate, 2, 1, pcm))
            except PocketTTSError as error:
                client.log_fields["error"] = str(error)
                raise
            finally:
                self._log(client, text, name or entry.names.default)
        if begun:
            self._send(AudioStop())

    def _events(self, max_bytes: int) -> Iterator[Event]:
        reader = cast(BinaryIO, _Bounded(cast(BinaryIO, self.rfile), max_bytes))
        try:
            while (event := read_event(reader)) is not None:
                yield event
        except (AttributeError, LookupError, TypeError, RecursionError):  # JSON, but not an event
            return

    def _send(self, event: Eventable) -> None:
        write_event(event.event(), cast(BinaryIO, self.wfile))

    def _is_gone(self) -> bool:
        try:
            readable, _, _ = select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _log(self, client: Client, text: str, voice: str) -> None:
        entry = {"client": self.client_address[0], "protocol": "wyoming", "seconds": monotonic() - client.arrived,
                 "characters": len(text), "voice": voice, **client.log_fields}  # fmt: skip
        entry = {name: round(value, 4) if isinstance(value, float) else value for name, value in entry.items()}
        logger.info("%s", " ".join(f"{name}={value!r:.100}" for name, value in entry.items()), extra={"fields": entry})


class _Bounded:
    """A stream that limits the size of an event. Beyond it, it raises ValueError, which `read_event` treats as the end."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file, self._max_bytes = file, max_bytes

    def readline(self) -> bytes:
        line = self._file.readline(self._max_bytes + 1)
        if len(line) > self._max_bytes:
            raise ValueError
        return line

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._max_bytes:
            raise ValueError
        return self._file.read(size)


def _texts(events: Iterator[Event]) -> Iterator[str]:
    """The pieces of text of a streaming request. Clients also send the whole text, for servers that can't stream; it is ignored."""
    for event in events:
        if SynthesizeChunk.is_type(event.type):
            yield SynthesizeChunk.from_event(event).text
        elif SynthesizeStop.is_type(event.type):
            return


def _sentences(texts: Iterator[str], language: Language) -> Iterator[str]:
    """The text as whole sentences, as soon as they are complete."""
    waiting = ""
    for text in texts:
        waiting += text
        ends = [end for end in sentence_ends(waiting, language) if end > MIN_CHARACTERS]
        if ends and not waiting.lstrip().startswith("<speak"):  # an SSML document is one piece
            yield waiting[: ends[-1]]
            waiting = waiting[ends[-1] :]
    if waiting.strip():
        yield waiting
