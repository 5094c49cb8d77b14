"""The routes over a real socket, with `requests`, OpenAI's client and raw sockets: responses and errors."""

import base64
import io
import json
import logging
import re
import socket

import bottle
import numpy as np
import openai
import pytest
import requests
import soundfile
from serving import HUM, LONG, connect, load, post, read_until, serving, wait_for

from pockettts.config.load import load_config
from pockettts.errors import DownloadError
from pockettts.server import app, voices as server_voices
from pockettts.sound import formats
from pockettts.sound.encode import pcm16
from pockettts.sound.files import read
from pockettts.sound.formats import SERVED

TEXT = "Hello there, this is a test. And one more."
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@pytest.fixture(scope="module")
def server(model):
    with serving(model, max_text=500, max_upload=1 << 20) as server:
        yield server


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def wav():
    file = io.BytesIO()
    soundfile.write(file, HUM, 24_000, format="WAV")
    return file.getvalue()


def expected(model, text=TEXT, voice="alba", **options):
    """The 16-bit samples of the library for the same text."""
    return b"".join(map(pcm16, model.generate_stream(text, model.get_voice_state(voice), **{"seed": 1} | options)))


def samples(sound):
    return soundfile.read(io.BytesIO(sound), dtype="int16")[0]


# --- speech --------------------------------------------------------------------------------------------------------------


def test_generate_is_a_whole_wav(server, model):
    answer = requests.post(server.url + "/generate", json={"text": TEXT, "seed": 1})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "audio/wav"
    assert answer.content[44:] == expected(model)
    assert int.from_bytes(answer.content[40:44], "little") == len(answer.content) - 44
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_stream_is_raw_samples(server, model):
    answer = requests.post(server.url + "/stream", json={"text": TEXT, "seed": 1, "voice": "marius"})
    assert answer.headers["Content-Type"] == "audio/pcm" and answer.headers["X-Sample-Rate"] == "24000"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.content == expected(model, voice="marius")


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5, "eos_threshold": 1e9, "noise_clamp": 1.5},
        {"lsd_decode_steps": 3, "max_tokens": 5},
        {"frames_after_eos": 9},
    ],
)
def test_options_are_those_of_one_request(server, model, options):
    sent = {{"lsd_decode_steps": "lsd_steps"}.get(name, name): value for name, value in options.items()}
    answer = requests.post(server.url + "/stream", json={"text": TEXT, "seed": 1, **sent})
    assert answer.content == expected(model, **options) != expected(model)


def test_a_seed_decides_the_samples_at_any_loudness(server):
    """Without a seed, the gain starts from the loudness of the voice's earlier texts."""
    ask = lambda: requests.post(server.url + "/stream", json={"text": TEXT, "seed": 3, "loudness": -14}).content  # noqa: E731
    assert len({ask(), ask(), ask()}) == 1


def test_an_option_of_null_is_the_default(server, model):
    answer = requests.post(
        server.url + "/stream", json={"text": TEXT, "seed": 1, "temperature": None, "voice": None, "more": {}}
    )
    assert answer.content == expected(model)


FIGURES = "On Nov. 28th it cost $3.50; **yes**."


@pytest.mark.parametrize(
    "route, name", [("/generate", "text"), ("/stream", "text"), ("/v1/audio/speech", "input"), ("/tts", "text")]
)
def test_every_route_reads_numbers_as_words_or_verbatim(server, model, route, name):
    def ask(normalize):
        body = {name: FIGURES, "seed": 1, "response_format": "pcm"} | normalize
        how = {"data": body} if route == "/tts" else {"json": body}
        return requests.post(server.url + route, **how)

    usual, verbatim = expected(model, FIGURES), expected(model, FIGURES, verbatim=True)
    assert usual != verbatim
    for sent, wanted in (({}, usual), ({"normalize": True}, usual), ({"normalize": False}, verbatim)):
        answer = ask(sent)
        assert answer.status_code == 200
        if route != "/tts":  # which has no seed
            assert answer.content.endswith(wanted)
    assert ask({"normalize": "perhaps"}).status_code == (400 if route == "/v1/audio/speech" else 422)


def test_tts_takes_forms_as_the_official_server_does(server, model, wav):
    url = server.url + "/tts"
    for answer in (
        requests.post(url, data={"text": TEXT, "voice_url": "marius"}),
        requests.post(url, files={"text": (None, TEXT), "voice_url": (None, "marius"), "voice_wav": ("", b"")}),
        requests.post(url, files={"text": (None, TEXT), "voice_wav": ("me.wav", wav)}),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "audio/wav" and answer.content[40:44] == b"\xff" * 4
        assert answer.headers["Content-Disposition"] == "attachment; filename=generated_speech.wav"
        assert len(samples(answer.content)) % 1920 == 0


@pytest.mark.parametrize("format, kind", [(form.name, form.media_type) for form in SERVED.values()])
def test_openai_formats(client, model, tmp_path, format, kind):
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alba", input=TEXT, response_format=format, extra_body={"seed": 1}
    ) as answer:
        assert answer.headers["Content-Type"] == kind
        sound = b"".join(answer.iter_bytes())
    whole = np.frombuffer(expected(model), "<i2")
    if format == "pcm":
        assert sound == whole.tobytes()
    elif format in ("wav", "flac"):  # neither header says how long it is
        assert np.array_equal(soundfile.SoundFile(io.BytesIO(sound)).read(len(whole) - 1, dtype="int16"), whole[:-1])
    else:
        (tmp_path / f"sound.{format}").write_bytes(sound)
        assert 0 <= len(read(tmp_path / f"sound.{format}", 24_000)[0]) - len(whole) < 6000  # encoders add silence


def test_openai_default_is_mp3(client):
    answer = client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.")
    assert answer.response.headers["Content-Type"] == "audio/mpeg"


@pytest.mark.parametrize("speed", [0.25, 2, 4])
def test_speed(client, model, speed):
    answer = client.audio.speech.create(
        model="tts-1", voice="alba", input=TEXT, speed=speed, response_format="pcm", extra_body={"seed": 1}
    )
    assert len(answer.content) // 2 == round(len(expected(model)) // 2 / speed)


def test_openai_events(client, model):
    answer = client.audio.speech.create(
        model="tts-1", voice="alba", input=TEXT, response_format="pcm", stream_format="sse", extra_body={"seed": 1}
    )
    assert answer.response.headers["Content-Type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == expected(model)
    usage = events[-1]["usage"]
    assert (
        events[-1]["type"] == "speech.audio.done"
        and usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    )
    assert usage["output_tokens"] == len(expected(model)) // 2 // 1920


def test_lists(client, server):
    assert [model.id for model in client.models.list()] == ["config"]
    assert client.models.retrieve("config").owned_by == "user"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-5'"):
        client.models.retrieve("gpt-5")
    voices = requests.get(server.url + "/v1/audio/voices").json()["voices"]
    assert {"id": "alba", "name": "alba", "default": True} in voices and len(voices) == 27
    health = requests.get(server.url + "/health").json()
    assert health["status"] == "healthy" and re.match(r"\d+\.", health["version"])


# --- voices --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "owner"), [("mini", "pockettts"), ("english", "kyutai"), ("b6369a24", "kyutai")])
def test_owner_of_a_model(name, owner):
    assert app.model_object(name, load_config(name))["owned_by"] == owner


def test_voices_of_other_systems_are_mapped(model):
    with serving(model, voice_map={"alloy": "cosette", "Zoe": "marius"}) as server:
        for name, voice in (
            ("alloy", "cosette"),
            ("Zoe", "marius"),
            ("echo", "alba"),
        ):
            answer = requests.post(server.url + "/stream", json={"text": TEXT, "seed": 1, "voice": name})
            assert answer.content == expected(model, voice=voice), name


def test_a_voice_in_base64(server, model, wav):
    plain = base64.b64encode(wav).decode()
    heard = {
        requests.post(server.url + "/stream", json={"text": TEXT, "seed": 1, "voice": voice}).content
        for voice in (plain, "data:audio/wav;base64," + plain)
    }
    assert heard == {expected(model, voice=soundfile.read(io.BytesIO(wav), dtype="float32")[0])}


def test_a_voice_state_as_an_upload(server, model, tmp_path):
    model.get_voice_state(HUM).save(tmp_path / "v.safetensors")
    content = (tmp_path / "v.safetensors").read_bytes()
    answer = requests.post(server.url + "/tts", data={"text": TEXT}, files={"voice_wav": ("v.safetensors", content)})
    assert answer.status_code == 200
    answer = requests.post(
        server.url + "/tts", data={"text": TEXT}, files={"voice_wav": ("v.safetensors", content[:-50])}
    )
    assert answer.status_code == 400 and answer.json()["detail"].startswith("the upload")


@pytest.mark.parametrize(
    "content", [b"RIFF", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\0" * 999, bytes(range(256)) * 9, b"not sound"]
)
def test_bad_uploads(server, content):
    answer = requests.post(server.url + "/tts", data={"text": TEXT}, files={"voice_wav": ("me.wav", content)})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("the upload ") and "/" not in answer.json()["detail"].replace(
        "and/or", ""
    )


@pytest.mark.parametrize(
    "voice", ["/etc/passwd", "tests/data/golden/tiny/model.safetensors", "../x", "config.yaml", "."]
)
def test_a_voice_never_names_a_file_of_the_server(server, model, monkeypatch, voice):
    monkeypatch.setattr(model, "get_voice_state", lambda voice: pytest.fail(f"{voice} was looked for"))
    answer = requests.post(server.url + "/generate", json={"text": TEXT, "voice": voice})
    assert answer.status_code == 422 and "there is no voice" in answer.json()["error"]
    answer = requests.post(server.url + "/tts", data={"text": TEXT, "voice_url": voice})
    assert answer.status_code == 400 and "there is no voice" in answer.json()["detail"]


def test_voice_addresses_must_be_enabled(server, model):
    for voice in (
        "https://example.com/a.wav",
        "http://127.0.0.1:1/a.wav",
        "hf://kyutai/tts-voices/a.wav",
        "file:///etc/passwd",
    ):
        answer = requests.post(server.url + "/generate", json={"text": TEXT, "voice": voice})
        assert answer.status_code == 403 and "--remote-voices" in answer.json()["error"]
    with serving(model, remote_voices=True) as lenient:
        for voice in (
            server.url + "/health",
            "http://[::1]/a.wav",
            "http://localhost/a.wav",
            "file:///etc/passwd",
            "ftp://127.0.0.1/a",
        ):
            answer = requests.post(lenient.url + "/generate", json={"text": TEXT, "voice": voice})
            assert answer.status_code == 422 and re.search(
                "not a public address|this URL can't be downloaded", answer.json()["error"]
            )


def test_voices_are_cached_within_limits(model, wav, monkeypatch):
    with serving(model) as server:
        made, real = [], model.get_voice_state

        def get_voice_state(voice):
            if isinstance(voice, bytes):
                made.append(voice)
            return real(voice)

        monkeypatch.setattr(model, "get_voice_state", get_voice_state)

        def ask(content):
            return requests.post(
                server.url + "/tts", data={"text": "Hi."}, files={"voice_wav": ("me.wav", content)}
            ).status_code

        assert [ask(wav), ask(wav)] == [200, 200] and len(made) == 1
        assert [ask(b"bad"), ask(b"bad"), ask(wav)] == [400, 400, 200] and len(made) == 3  # what is bad is not kept
        one = server.app.models.voices.cached_bytes
        monkeypatch.setattr(server_voices, "CACHE_BYTES", 2 * one)
        assert [ask(wav[: -2 * n - 2]) for n in range(3)] == [400] * 3  # cut off
        for n in range(3):
            file = io.BytesIO()
            soundfile.write(file, HUM[n:], 24_000, format="WAV")
            assert ask(file.getvalue()) == 200
            assert 0 < server.app.models.voices.cached_bytes <= 2 * one


def test_a_voice_that_is_temporarily_unavailable(server, model, monkeypatch):
    def nothing(voice):
        raise DownloadError("no network: /secret/path")

    monkeypatch.setattr(model, "get_voice_state", nothing)
    answer = requests.post(server.url + "/generate", json={"text": TEXT, "voice": "eve"})
    assert (
        answer.status_code == 502
        and answer.json()["error"] == "the voice eve can't be loaded now; the server's log says why"
    )


def test_uploads_are_released_after_the_response(server, wav, monkeypatch):
    environs, start = [], server.app.responses.start
    monkeypatch.setattr(
        server.app.responses, "start", lambda *args: environs.append(bottle.request.environ) or start(*args)
    )
    for content in (wav, b"x" * 900_000):
        requests.post(server.url + "/tts", data={"text": "Hi."}, files={"voice_wav": ("me.wav", content)})
    wait_for(lambda: environs == [{}, {}])


# --- errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, status, words", [
    (b"", 400, "not JSON"), (b"{", 400, "not JSON"), (b"\xff", 400, "not JSON"), (b"[" * 100_000, 400, "not JSON"),
    (b'{"text": ' + b"9" * 10_000 + b"}", 400, "not JSON"), (b"[]", 400, "not a JSON object"),
    (b"{}", 422, "text is missing"), (b'{"text": " "}', 422, "text is empty"), (b'{"text": 5}', 422, "text must be text"),
    (b'{"text": "..."}', 200, ""), (b'{"text": "\\ud800"}', 422, "not Unicode"),
    (b'{"text": "a", "temperature": 11}', 422, "temperature 11: give a number from 0 to 10"),
    (b'{"text": "a", "temperature": NaN}', 422, "temperature"), (b'{"text": "a", "seed": 1.5}', 422, "seed"),
    (b'{"text": "a", "seed": true}', 422, "seed"), (b'{"text": "a", "lsd_steps": "2"}', 422, "lsd_steps"),
    (b'{"text": "a", "speed": 5}', 422, "speed 5: give a number"), (b'{"text": "a", "voice": 5}', 422, "voice must be text"),
    (b'{"text": "a", "voice": "nobody"}', 422, "there is no voice 'nobody': use one of alba"),
    (b'{"text": "a", "voice": "data:audio/wav;base64,@@@"}', 422, "not base64"),
    (b'{"text": "a", "voice": "' + b"A" * 2_000_000 + b'"}', 413, "larger than"),
    (b'{"text": "' + b"a" * 501 + b'"}', 413, "text has 501 characters: send at most 500"),
])  # fmt: skip
def test_bad_bodies(server, body, status, words):
    answer = requests.post(server.url + "/generate", data=body, headers=JSON)
    assert answer.status_code == status and (status == 200 or words in answer.json()["error"])


@pytest.mark.parametrize(
    "body, status, words",
    [
        ({"text": "a", "voice_url": "alba", "voice_wav": b"x"}, 400, "not both"),
        ({"text": " "}, 400, "text is empty"),
        ({"text": "a", "voice_url": "nobody"}, 400, "there is no voice 'nobody'"),
        ({"text": "a", "voice_wav": b"no sound"}, 400, "the upload"),
        ({"text": "a", "voice_wav": "no file"}, 400, "voice_wav is not a file"),
        ({"text": b"\xff\xfe", "voice_url": "alba"}, 400, "UTF-8"),
        ({"voice_url": "alba"}, 422, "text is missing"),
        ({"text": "", "voice_url": "alba"}, 422, "text is missing"),
        ({"text": "a", "speed": "9"}, 422, "speed 9.0: give a number from 0.25 to 4"),
        ({"text": "a", "lsd_steps": "1.5"}, 422, "lsd_steps '1.5': give a whole number from 1 to 1000"),
        ({"text": "a", "seed": "9" * 5000}, 422, "seed '99999999999999999999': give a whole number"),
        ({"text": "a", "speed": "fast"}, 422, "speed 'fast': give a number from 0.25 to 4"),
    ],
)
def test_bad_forms(server, body, status, words):
    """Statuses and bodies equal those of pocket-tts 4.0.1, if it has such an error."""
    form = {
        name: ("a.wav", value) if name == "voice_wav" and value[:0] == b"" else (None, value)
        for name, value in body.items()
    }
    answer = requests.post(server.url + "/tts", files=form)
    assert answer.status_code == status and list(answer.json()) == ["detail"], answer.text
    told = answer.json()["detail"]
    if status == 400:
        assert words in told
    else:
        field = words.split()[0]
        assert [(one["loc"], one["type"]) for one in told] == [
            (["body", field], "missing" if field == "text" else "value_error")
        ]
        assert words in told[0]["msg"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary="]
)
def test_forms_that_can_not_be_read(server, kind):
    bad = requests.post(
        server.url + "/tts", data=b"text=%ff", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert bad.status_code == 400 and "not UTF-8" in bad.json()["detail"]
    answer = requests.post(server.url + "/tts", data=b"--y\r\n\r\n", headers={"Content-Type": kind})
    assert answer.status_code == 400 and "not a form that can be read" in answer.json()["detail"]


@pytest.mark.parametrize(
    "wrong, words, param",
    [
        (
            {"response_format": "ac3"},
            "response_format 'ac3' is not offered: use ",
            "response_format",
        ),
        ({"stream_format": "x"}, "stream_format", "stream_format"),
        ({"speed": 0.2}, "speed 0.2: give a number from 0.25 to 4", "speed"),
        ({"voice": "nobody"}, "there is no voice", "voice"),
        ({"input": ""}, "input is empty", "input"),
        ({"extra_body": {"temperature": -1}}, "temperature -1", "temperature"),
    ],
)
def test_errors_have_openais_shape(client, wrong, words, param):
    with pytest.raises(openai.BadRequestError, match=words) as error:
        client.audio.speech.create(**{"model": "tts-1", "voice": "alba", "input": "Hi."} | wrong)
    assert error.value.type == "invalid_request_error" and error.value.param == param


@pytest.mark.parametrize("format", ["aac", "m4a"])
def test_formats_without_their_extra(server, client, format, monkeypatch):
    monkeypatch.setattr(formats.Format, "is_available", lambda form: form.extra != "av")
    with pytest.raises(
        openai.BadRequestError, match=rf"{format} needs the extra av: pip install 'pockettts\[av\]'"
    ) as error:
        client.audio.speech.create(model="tts-1", voice="alba", input="Hi.", response_format=format)
    assert error.value.param == "response_format"
    assert client.audio.speech.create(model="tts-1", voice="alba", input="Hi.", response_format="opus").content


def test_unknown_routes_and_methods(server):
    for method, path, status in (
        ("GET", "/x", 404),
        ("POST", "/x", 404),
        ("GET", "/generate", 405),
        ("DELETE", "/health", 405),
        ("GET", "/static/..%2fapp.py", 404),
        ("GET", "/static/../server/app.py", 404),
        ("GET", "/static/%2e%2e/cli/serve.py", 404),
        ("OPTIONS", "/x", 404),
    ):
        answer = requests.request(method, server.url + path)
        assert answer.status_code == status and answer.json()["error"], path
    assert requests.get(server.url + "/v1/x").json()["error"]["type"] == "invalid_request_error"
    assert requests.post(server.url + "/generate", data={"text": "Hi."}).status_code == 415


def test_a_body_that_is_too_large_is_read_before_it_is_refused(server):
    for size in (3 << 20, 7 << 20):
        answer = requests.post(server.url + "/tts", data={"text": "Hi."}, files={"voice_wav": ("a.wav", bytes(size))})
        assert answer.status_code == 413 and "is larger than" in answer.json()["detail"]
    answer = requests.post(server.url + "/generate", data=iter([b" " * (1 << 20)] * 4), headers=JSON)  # chunked
    assert answer.status_code == 413
    answer = requests.post(server.url + "/tts", files={"text": (None, "Hi."), "voice_wav": ("a.wav", bytes(1_100_000))})
    assert answer.status_code == 413 and answer.json()["detail"].startswith("voice_wav is larger than 1 MB")


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 300_000 + b"\r\n\r\n",
        b"POST /generate HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /generate HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST /generate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_invalid_http_is_rejected_in_json(server, request_):
    head, _, body = read_until(connect(server, request_), b"}").partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1.\d 4\d\d ", head) and json.loads(body)["error"]


def test_an_unexpected_error_is_a_500_without_details(server, monkeypatch, caplog):
    monkeypatch.setattr(server.engine, "submit", lambda *_: 1 / 0)
    answer = requests.post(server.url + "/generate", json={"text": "Hi."})
    assert answer.status_code == 500 and answer.json() == {
        "error": "an unexpected error; the server's log has the details"
    }
    assert "ZeroDivisionError" in caplog.text


# --- keys, pages from elsewhere, figures ---------------------------------------------------------------------------------


def test_a_key(model):
    with serving(model, api_key="s3cret é") as server:
        for path in ("/generate", "/tts", "/v1/audio/speech"):
            for shown in (None, "Bearer s3cret", "Basic s3cret é".encode(), "Bearer", "Bearer "):
                answer = requests.post(
                    server.url + path, json={"text": "Hi.", "input": "Hi."}, headers={"Authorization": shown}
                )
                assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
        with pytest.raises(openai.AuthenticationError, match="this server needs an API key"):
            openai.OpenAI(base_url=server.url + "/v1", api_key="wrong").models.list()
        assert requests.get(server.url + "/metrics").status_code == 401
        assert (
            requests.get(server.url + "/health").status_code
            == requests.get(server.url + "/openapi.json").status_code
            == 200
        )
        right = {"Authorization": "Bearer s3cret é".encode()}
        assert requests.post(server.url + "/generate", json={"text": "Hi."}, headers=right).status_code == 200


def test_cross_origin_requests(server, model):
    page = {"Origin": "https://chat.example"}
    assert not [name for name in requests.get(server.url + "/health", headers=page).headers if "access" in name.lower()]
    with serving(model, cors=("https://chat.example",), api_key="x") as open_to_one:
        asked = requests.options(
            open_to_one.url + "/generate", headers=page | {"Access-Control-Request-Method": "POST"}
        )
        assert asked.status_code == 204 and "Authorization" in asked.headers["Access-Control-Allow-Headers"]
        sdk = {"Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang"}  # OpenAI's in a browser
        answer = requests.options(open_to_one.url + "/v1/audio/speech", headers=page | sdk)
        assert answer.headers["Access-Control-Allow-Headers"] == sdk["Access-Control-Request-Headers"]
        refused = requests.post(open_to_one.url + "/x", headers=page)
        for answer in (asked, refused, requests.get(open_to_one.url + "/health", headers=page)):
            assert (
                answer.headers["Access-Control-Allow-Origin"] == "https://chat.example"
                and answer.headers["Vary"] == "Origin"
            )
        other = requests.get(open_to_one.url + "/health", headers={"Origin": "https://other.example"})
        assert "Access-Control-Allow-Origin" not in other.headers


def test_prometheus_metrics(model):
    with serving(model) as server:
        audio = len(requests.post(server.url + "/stream", json={"text": TEXT}).content) / 48_000
        requests.post(server.url + "/generate", json={})
        requests.get(server.url + '/a"b\nc')
        answer = requests.get(server.url + "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        values = {}
        for line in answer.text.splitlines():
            if not line.startswith("# "):
                name, value = re.fullmatch(r'(\w+(?:\{(?:\w+="[^"\n]*",?)*\})?) ([\d.e+-]+)', line).groups()
                values[name] = float(value)
    assert values['pockettts_requests_total{route="/stream",status="200"}'] == 1
    assert values['pockettts_requests_total{route="/generate",status="422"}'] == 1
    assert values['pockettts_requests_total{route="other",status="404"}'] == 1
    assert values['pockettts_streams{state="live"}'] == values['pockettts_streams{state="queued"}'] == 0
    assert (
        values['pockettts_streams_total{end="done"}']
        == values["pockettts_ttfa_seconds_count"]
        == values["pockettts_rtf_count"]
        == 1
    )
    assert values['pockettts_rtf_bucket{le="+Inf"}'] == 1
    assert values["pockettts_audio_seconds_total"] == pytest.approx(audio)


def test_one_line_in_the_log_for_each_request(server, caplog):
    caplog.set_level(logging.INFO, "pockettts.requests")
    requests.post(server.url + "/generate", json={"text": TEXT})
    requests.get(server.url + "/a%0Ab\x1b[0m")
    wait_for(lambda: len(lines_of(caplog)) == 2)  # it is written after the answer
    good, bad = lines_of(caplog)
    assert good.getMessage().startswith("127.0.0.1 POST /generate 200 seconds=") and "\n" not in bad.getMessage()
    assert {"characters": len(TEXT), "voice": "alba", "status": 200}.items() <= good.fields.items()
    assert good.fields["audio"] > 0.5 and good.fields["ttfa"] > 0 and "there is nothing here" in bad.fields["error"]


def lines_of(caplog):
    return [record for record in caplog.records if record.name == "pockettts.requests"]


# --- connections ---------------------------------------------------------------------------------------------------------


def test_a_connection_stays_open_after_a_streamed_response(server):
    connection = connect(server)
    for _ in range(3):
        connection.sendall(post("/stream", b'{"text": "Hi."}'))
        answer = read_until(connection, b"\r\n0\r\n\r\n")
        assert (
            answer.startswith(b"HTTP/1.1 200 OK")
            and b"Connection: close" not in answer
            and answer.endswith(b"\r\n0\r\n\r\n")
        )
    connection.sendall(post("/generate", b"{}", Connection="close"))
    assert read_until(connection, b"never").startswith(b"HTTP/1.1 422 ")


def test_http_1_0_has_no_chunks(server, model):
    body = json.dumps({"text": TEXT, "seed": 1}).encode()
    connection = connect(server, post("/stream", body).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert read_until(connection, b"never").partition(b"\r\n\r\n")[2] == expected(model)


def test_a_full_server(model):
    with serving(model, max_streams=1, max_queue=0) as server:
        slow = connect(server, post("/stream", json.dumps({"text": LONG}).encode()))
        slow.recv(1)
        answer = requests.post(server.url + "/generate", json={"text": "Hi."})
        assert (
            answer.status_code == 503 and answer.headers["Retry-After"] == "1" and "try again" in answer.json()["error"]
        )
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="x", max_retries=0)
        with pytest.raises(openai.InternalServerError, match="try again") as error:
            client.audio.speech.create(model="m", voice="alba", input="Hi.")
        assert error.value.status_code == 503
        assert requests.get(server.url + "/health").status_code == 200
        slow.close()


def test_a_port_that_is_taken(model):
    from pockettts.errors import OptionError
    from pockettts.server import Server
    from pockettts.server.models import Source
    from pockettts.server.settings import Settings

    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(OptionError, match="can't listen on 127.0.0.1:"),
    ):
        Server([Source.of(model)], Settings(port=other.getsockname()[1], voice="alba"))


def test_a_host_without_an_address(model, monkeypatch):
    from pockettts.errors import OptionError
    from pockettts.server import Server
    from pockettts.server.models import Source
    from pockettts.server.settings import Settings

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OptionError, match="^can't listen on nohost.invalid:0 .*: use another --host or --port$"):
        Server([Source.of(model)], Settings(host="nohost.invalid", port=0, voice="alba"))
