"""The Wyoming protocol over a real socket, with the official client."""

import asyncio
import json
import shutil
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from conftest import SPEECH
from serving import LONG, load, serving, wait_for
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from pockettts import __version__
from pockettts.errors import OptionError
from pockettts.reading.languages import find_language
from pockettts.server import Server
from pockettts.server.models import Source
from pockettts.server.settings import Settings
from pockettts.server.wyoming import _sentences
from pockettts.sound.encode import pcm16

TEXT = "Hello there, this is a test. And one more."


@pytest.fixture(scope="module")
def model(tiny_model):
    model = load(tiny_model)
    model.options = model.options.replace(temperature=0)  # the protocol has no seeds
    return model


@pytest.fixture(scope="module")
def server(model):
    with serving(model, wyoming_port=0, max_text=20_000) as server:
        server.wyoming_port = int(server.wyoming.address.rpartition(":")[2])
        yield server


def talk(server, *events, until=AudioStop):
    """Send events; returns the events received, up to and including one of the given kind or the end of the connection."""

    async def talking():
        async with connected(server) as client:
            for event in events:
                await client.write_event(event.event())
            answers = []
            while (event := await client.read_event()) is not None:
                answers.append(event)
                if until.is_type(event.type) or Error.is_type(event.type):
                    break
            return answers

    return asyncio.run(talking())


@asynccontextmanager
async def connected(server):
    async with AsyncTcpClient("127.0.0.1", server.wyoming_port, connect_timeout=20, read_timeout=20) as client:
        yield client


def expected(model, text, voice="alba"):
    return b"".join(map(pcm16, model.generate_stream(text, model.get_voice_state(voice))))


def sound(events):
    """The PCM between the start and stop events, whose fields are checked."""
    start, *chunks, stop = events
    assert AudioStart.from_event(start) == AudioStart(24000, 2, 1, timestamp=AudioStart.from_event(start).timestamp)
    assert AudioStop.is_type(stop.type) and len(chunks) > 1
    assert all(
        (chunk.rate, chunk.width, chunk.channels) == (24000, 2, 1) for chunk in map(AudioChunk.from_event, chunks)
    )
    return b"".join(AudioChunk.from_event(chunk).audio for chunk in chunks)


def test_describe(server, model):
    [event] = talk(server, Describe(), until=Info)
    [program] = Info.from_event(event).tts
    assert (
        (program.name, program.version) == ("pockettts", __version__)
        and program.installed
        and program.supports_synthesize_streaming
    )
    assert [voice.name for voice in program.voices] == server.app.models.first.names.all()
    assert {tuple(voice.languages) for voice in program.voices} == {("en",)}
    [pong] = talk(server, Ping("here?"), until=type("Any", (), {"is_type": staticmethod(lambda kind: True)}))
    assert (pong.type, pong.data) == ("pong", {"text": "here?"})


def test_voices_of_several_models(model, tiny_model, tmp_path):
    """Each voice has the language of its model and a name that selects it. An own voice is listed for each model."""
    shutil.copy(SPEECH / "her.ogg", tmp_path / "her.ogg")
    french = load(tiny_model)
    french.config = replace(french.config, name="french", language="french")
    french.options = french.options.replace(temperature=0, max_tokens=12)
    with serving(model, french, wyoming_port=0, voices_dir=tmp_path) as server:
        server.wyoming_port = server.wyoming.port
        [event] = talk(server, Describe(), until=Info)
        voices = {voice.name: voice for voice in Info.from_event(event).tts[0].voices}
        assert voices["alba"].languages == ["en"] and voices["french/alba"].languages == ["fr"]
        assert voices["her"].attribution.name == "" and voices["french/her"].description == "her (french)"
        wanted = {name: expected(french, TEXT, name) for name in ("alba", "marius")}
        for voice, sound_of in (
            (SynthesizeVoice(name="french/marius"), wanted["marius"]),
            (SynthesizeVoice(language="fr"), wanted["alba"]),
            (SynthesizeVoice(language="fr_FR"), wanted["alba"]),
            (SynthesizeVoice(name="marius"), expected(model, TEXT, "marius")),
            (SynthesizeVoice(name="her"), expected(model, TEXT, tmp_path / "her.ogg")),
            (SynthesizeVoice(language="nl"), expected(model, TEXT)),
        ):
            assert sound(talk(server, Synthesize(TEXT, voice=voice))) == sound_of, voice
        [answer] = talk(server, Synthesize(TEXT, voice=SynthesizeVoice(name="french/nobody")))
        assert "there is no voice 'french/nobody'" in Error.from_event(answer).text


def test_service_discovery(model):
    """Another program finds the server by service discovery, on the loopback interface, so that no network is needed."""
    from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

    found, gone = {}, []

    def note(zeroconf, service_type, name, state_change):
        if state_change is ServiceStateChange.Removed:
            gone.append(name)
        elif info := zeroconf.get_service_info(service_type, name, 5000):
            found[name] = info

    with Zeroconf(interfaces=["127.0.0.1"]) as looking:
        ServiceBrowser(looking, "_wyoming._tcp.local.", handlers=[note])
        with serving(model, wyoming_port=0, zeroconf="den") as server:
            wait_for(lambda: "den._wyoming._tcp.local." in found)
            info = found["den._wyoming._tcp.local."]
            assert info.port == server.wyoming.port and info.parsed_addresses() == ["127.0.0.1"]
        wait_for(lambda: gone == ["den._wyoming._tcp.local."])


def test_without_service_discovery_the_server_still_works(model, monkeypatch, caplog):
    def nothing(*_, **__):
        raise OSError(19, "No such device")

    monkeypatch.setattr("pockettts.server.discovery.Zeroconf", nothing)
    with serving(model, wyoming_port=0, zeroconf="den") as server:
        server.wyoming_port = server.wyoming.port
        assert sound(talk(server, Synthesize("Hi."))) == expected(model, "Hi.")
    assert "can't announce the Wyoming server (No such device)" in caplog.text


def test_announcement(monkeypatch):
    from ipaddress import ip_address

    from pockettts.server.discovery import _addresses

    assert _addresses("127.0.0.1") == ["127.0.0.1"] and _addresses("localhost") == ["127.0.0.1"]
    assert all(not ip_address(address).is_unspecified for address in _addresses("0.0.0.0"))


def test_synthesize(server, model):
    assert sound(talk(server, Synthesize(TEXT))) == expected(model, TEXT)
    named = talk(server, Synthesize(TEXT, voice=SynthesizeVoice(name="marius")))
    assert sound(named) == expected(model, TEXT, "marius") != expected(model, TEXT)
    assert sound(talk(server, Synthesize("Hi [pause:1s]", voice=SynthesizeVoice(language="en")))) == expected(
        model, "Hi [pause:1s]"
    )
    assert sound(talk(server, Describe(), Synthesize(TEXT))[1:]) == expected(
        model, TEXT
    )  # one connection, several requests


def test_streamed_text_is_spoken_sentence_by_sentence(server, model):
    first, second = "This is the first of the sentences.", " And here comes another one, the last"

    async def talking():
        async with connected(server) as client:
            await client.write_event(SynthesizeStart(voice=SynthesizeVoice(name="marius")).event())
            for piece in ("This is the fir", "st of the sentences.", " And here"):
                await client.write_event(SynthesizeChunk(piece).event())
            events = [await client.read_event()]
            while len(events) * 1920 * 2 < len(expected(model, first, "marius")):  # it speaks, and more text is to come
                events.append(await client.read_event())
            await client.write_event(SynthesizeChunk(second.removeprefix(" And here")).event())
            await client.write_event(Synthesize(first + second).event())  # for servers that can't stream
            await client.write_event(SynthesizeStop().event())
            while not SynthesizeStopped.is_type(events[-1].type):
                events.append(await client.read_event())
            return events

    events = asyncio.run(talking())
    assert sound(events[:-1]) == expected(model, first, "marius") + expected(model, second, "marius")


def test_streaming_without_text_ends_too(server):
    events = talk(server, SynthesizeStart(), SynthesizeStop(), until=SynthesizeStopped)
    assert [event.type for event in events] == ["synthesize-stopped"]


def test_sentence_boundaries_of_streamed_text():
    def pieces(*texts):
        return list(_sentences(iter(texts), find_language("en")))

    assert pieces("One is here. Two is, too.", " Three") == ["One is here. Two is, too.", " Three"]
    assert pieces("This is a long sentence", ". And", " this") == ["This is a long sentence.", " And this"]
    assert pieces("He met Dr. ", "Smith, of 3.", "5 Elm Street. So.") == [
        "He met Dr. Smith, of 3.5 Elm Street.",
        " So.",
    ]
    assert "".join(pieces(*TEXT)) == TEXT and pieces(" ", "") == []


@pytest.mark.parametrize("event, words", [
    (Synthesize(" "), "nothing to speak"), (Synthesize("word " * 5000), "too long"),
    (Synthesize(TEXT, voice=SynthesizeVoice(name="nobody")), "no voice 'nobody'"),
    (Synthesize(5), "does not follow the protocol"),
    (Synthesize(TEXT, voice=SynthesizeVoice(name="/etc/passwd")), "no voice"),
])  # fmt: skip
def test_errors_are_sent_as_events(server, event, words, caplog):
    caplog.set_level("INFO", "pockettts.requests")
    [answer] = talk(server, event)
    assert words in Error.from_event(answer).text
    if "voice" in words:
        wait_for(lambda: caplog.records)
        assert "protocol='wyoming'" in caplog.text and 'error="there is no voice' in caplog.text


@pytest.mark.parametrize("data", [
    b"no json\n", b"[]\n", b"{}\n", b'{"type": 3}\n', b'{"type": "synthesize", "data": {"text": 3}}\n', b'{"type": "synthesize"}\n',
    b'{"type": "x", "data_length": 1e99}\n', b'{"type": "x", "payload_length": 99999999999}\n', b'{"type": "x", "data_length": -1}\n',
    b"x" * 300_000, b"[" * 100_000 + b"\n",
])  # fmt: skip
def test_an_invalid_event_ends_the_connection(server, model, data):
    with socket.create_connection(("127.0.0.1", server.wyoming_port), timeout=20) as connection:
        answer = b""
        with suppress(ConnectionError):  # it may hang up before everything is sent
            connection.sendall(data)
            with suppress(OSError):  # ENOTCONN: it has hung up already
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                answer += more
        assert not answer or json.loads(answer.split(b"\n")[0])["type"] == "error"
    assert sound(talk(server, Synthesize("Hi."))) == expected(model, "Hi.")


def test_a_disconnect_frees_the_slot(server):
    async def leaving():
        async with connected(server) as client:
            await client.write_event(Synthesize(LONG).event())
            await client.read_event()

    asyncio.run(leaving())
    wait_for(lambda: server.engine.stats().live == 0)


def test_a_port_that_is_taken(model):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OptionError, match="use another --host or --wyoming"),
    ):
        Server([Source.of(model)], Settings(port=0, wyoming_port=taken.getsockname()[1], voice="alba"))


def test_in_flight_responses_finish_before_shutdown(model):
    with serving(model, wyoming_port=0, drain_seconds=20) as server:
        server.wyoming_port = int(server.wyoming.address.rpartition(":")[2])

        async def talking():
            async with connected(server) as client:
                await client.write_event(Synthesize(TEXT).event())
                events = [await client.read_event()]
                server.web.stop()
                while events[-1] and not AudioStop.is_type(events[-1].type):
                    events.append(await client.read_event())
                return events

        assert sound(asyncio.run(talking())) == expected(model, TEXT)
