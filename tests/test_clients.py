"""Real clients with a real server: OpenAI's SDKs, and requests as chat programs send them according to their source code."""

import base64
import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import openai
import pytest
import requests
import soundfile
from serving import HUM, load, serving

from pockettts.server.app import openapi
from pockettts.sound.files import pcm16

TEXT = "Hello there, this is a test. And one more."


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    with serving(
        model, voices_dir=tmp_path_factory.mktemp("voices"), allow_uploads=True, api_key="k3y", cors=("*",)
    ) as server:
        yield server


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="k3y", max_retries=0)


KEY = {"Authorization": "Bearer k3y"}


def expected(model, voice="alba"):
    return b"".join(map(pcm16, model.generate_stream(TEXT, model.get_voice_state(voice), seed=1)))


def seconds(sound):
    return len(soundfile.read(io.BytesIO(sound))[0]) / 24_000


# --- whole or streamed ---------------------------------------------------------------------------------------------------


def test_a_wav_has_its_length_unless_it_is_streamed(client, model):
    """Players on iOS do not play a WAV whose header does not say how long it is."""
    create = client.audio.speech.create
    arguments = {"model": "tts-1", "voice": "alba", "input": TEXT, "response_format": "wav"}
    for more in ({}, {"stream": False}, {"stream": False, "stream_format": "audio"}, {"stream_format": None}):
        answer = create(**arguments, extra_body={"seed": 1} | more)
        sound = answer.content
        assert (
            int(answer.response.headers["Content-Length"]) == len(sound)
            and answer.response.headers["Content-Type"] == "audio/wav"
        )
        assert int.from_bytes(sound[40:44], "little") == len(sound) - 44 == int.from_bytes(sound[4:8], "little") - 36
        assert sound[44:] == expected(model)
    for more in ({"stream": True}, {"stream_format": "audio"}):
        answer = create(**arguments, extra_body={"seed": 1} | more)
        assert "Content-Length" not in answer.response.headers and answer.content[40:44] == b"\xff" * 4
        assert answer.content[44:] == expected(model)


@pytest.mark.parametrize("format", ["mp3", "opus", "flac", "m4a", "pcm"])
@pytest.mark.parametrize("route", ["/v1/audio/speech", "/dev/captioned_speech"])
def test_unstreamed_audio_has_its_length(server, model, format, route):
    """As a file has it, so players show the duration and can seek."""
    av = pytest.importorskip("av")
    body = {"input": TEXT, "voice": "alba", "seed": 1, "response_format": format, "stream": False}
    answer = requests.post(server.url + route, json=body, headers=KEY)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    audio = base64.b64decode(answer.json()["audio"]) if "captioned" in route else answer.content
    if format == "pcm":
        assert audio == expected(model)
        return
    with av.open(io.BytesIO(audio)) as container:
        stream = container.streams.audio[0]
        length = float(stream.duration * stream.time_base)
    assert length == pytest.approx(len(expected(model)) / 48_000, abs=0.05 if format == "mp3" else 0.01)
    if format in ("flac", "mp3"):  # the number of samples is in the header
        assert soundfile.info(io.BytesIO(audio)).frames == len(expected(model)) // 2


# --- times of words ------------------------------------------------------------------------------------------------------


def events(answer):
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]


@pytest.fixture(scope="module")
def spoken_words(following_model):
    """A server whose model knows when each word is spoken, and the words of TEXT."""
    model = load(following_model(13))
    found = [
        w for w in model.generate_events(TEXT, model.get_voice_state("alba"), seed=1) if not isinstance(w, np.ndarray)
    ]
    with serving(model) as server:
        yield server, [(word.text, word.start, word.end) for word in found]


def test_words_among_openais_events(spoken_words, client):
    server, words = spoken_words
    ask = openai.OpenAI(base_url=server.url + "/v1", api_key="x").audio.speech.create
    arguments = {"model": "tts-1", "voice": "alba", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    told = events(ask(**arguments, extra_body={"seed": 1, "timestamps": True}))
    plain = events(ask(**arguments, extra_body={"seed": 1}))
    given = [word for event in told if event["type"] == "speech.audio.words" for word in event["words"]]
    assert [(word["word"], word["start"], word["end"]) for word in given] == words and len(words) > 5
    assert [event for event in told if event["type"] != "speech.audio.words"] == plain
    kinds = [event["type"] for event in told]
    assert (
        kinds[-1] == "speech.audio.done" and kinds[-2] == "speech.audio.words" and kinds.index("speech.audio.words") > 1
    )
    assert {event["unit"] for event in told if event["type"] == "speech.audio.words"} == {"word"}


def test_times_of_chunks_without_alignment_heads(client):
    told = events(
        client.audio.speech.create(
            model="m",
            voice="alba",
            input=TEXT,
            response_format="pcm",
            stream_format="sse",
            extra_body={"timestamps": True},
        )
    )
    given = [event for event in told if event["type"] == "speech.audio.words"]
    assert {event["unit"] for event in given} == {"chunk"}
    assert " ".join(word["word"] for event in given for word in event["words"]) == TEXT


def test_timestamps_require_a_format_with_events(client):
    with pytest.raises(openai.BadRequestError, match="stream_format sse") as error:
        client.audio.speech.create(model="m", voice="alba", input="Hi.", extra_body={"timestamps": True})
    assert error.value.param == "timestamps"


def captioned(server, **more):
    body = {"model": "kokoro", "input": TEXT, "voice": "alba", "speed": 1.0, "response_format": "wav", "seed": 1}
    return requests.post(server.url + "/dev/captioned_speech", json=body | more)


def test_captioned_speech_as_kokoro_fastapi_gives_it(spoken_words):
    server, words = spoken_words
    answer = captioned(server, stream=False)
    told = json.loads(answer.content)
    assert answer.headers["Content-Type"] == "application/json" and int(answer.headers["Content-Length"]) == len(
        answer.content
    )
    assert told["audio_format"] == "audio/wav" and set(told) == {"audio", "audio_format", "timestamps"}
    assert [(word["word"], word["start_time"], word["end_time"]) for word in told["timestamps"]] == words
    sound = base64.b64decode(told["audio"])
    assert int.from_bytes(sound[40:44], "little") == len(sound) - 44 and seconds(sound) >= words[-1][2] - 0.001
    assert captioned(server, stream=False, return_timestamps=False).json()["timestamps"] is None


@pytest.mark.parametrize("format", ["pcm", "mp3"])
def test_captioned_speech_in_lines(spoken_words, format):
    server, words = spoken_words
    plain = requests.post(
        server.url + "/v1/audio/speech", json={"input": TEXT, "voice": "alba", "seed": 1, "response_format": format}
    )
    answer = captioned(server, response_format=format)  # streamed, unless it is said otherwise
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert answer.headers["Transfer-Encoding"] == "chunked" and len(lines) > 2
    assert b"".join(base64.b64decode(line["audio"]) for line in lines) == plain.content
    given = [word for line in lines for word in line["timestamps"]]
    assert [(word["word"], word["start_time"], word["end_time"]) for word in given] == words


def test_rejected_captioned_speech(server):
    for more, status in (
        ({"input": ""}, 422),
        ({"stream": "yes"}, 422),
        ({"response_format": "x"}, 400),
        ({"voice": "x"}, 422),
    ):
        answer = requests.post(server.url + "/dev/captioned_speech", json={"input": "Hi."} | more, headers=KEY)
        assert answer.status_code == status and answer.json()["error"]


# --- OpenAI's SDKs -------------------------------------------------------------------------------------------------------


def test_the_python_sdk(client, tmp_path):
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="nova", input="Hi."
    ) as answer:
        answer.stream_to_file(tmp_path / "x.mp3")
    assert len(soundfile.read(tmp_path / "x.mp3")[0]) > 1000
    assert client.models.retrieve("tts-1").id == "tts-1" and client.models.list().data[0].id == "config"
    file = io.BytesIO()
    soundfile.write(file, HUM, 24_000, format="WAV")
    made = client.post(
        "/audio/voices",
        cast_to=object,
        body={"name": "me", "consent": "cons_1"},
        files={"audio_sample": ("me.wav", file.getvalue(), "audio/wav")},
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    assert made["id"] == "me"
    assert client.audio.speech.create(model="m", voice="me", input="Hi.").content
    assert client.delete("/audio/voices/me", cast_to=object)["deleted"] is True


NODE = """
const { OpenAI } = require("openai");
const client = new OpenAI({ baseURL: process.argv[1], apiKey: "k3y", maxRetries: 0 });
(async () => {
  const sound = async (body) => {
    const answer = await client.audio.speech.create(body);
    return { type: answer.headers.get("content-type"), data: Buffer.from(await answer.arrayBuffer()).toString("base64") };
  };
  const input = "Hello there, this is a test. And one more.";
  const told = { models: [], refused: null };
  told.pcm = await sound({ model: "tts-1", voice: "alba", input, response_format: "pcm", seed: 1 });
  told.wav = await sound({ model: "tts-1-hd", voice: "alloy", input, response_format: "wav" });
  for await (const model of client.models.list()) told.models.push(model.id);
  told.model = (await client.models.retrieve("tts-1")).id;
  try {
    await client.audio.speech.create({ model: "tts-1", voice: "nobody", input });
  } catch (error) {
    told.refused = [error.status, error.param, error.constructor.name];
  }
  console.log(JSON.stringify(told));
})();
"""


def node_sdk():
    """Skip if Node.js or its `openai` package is missing. NODE_PATH is the folder of packages."""
    if not shutil.which("node"):
        return False
    found = subprocess.run(["node", "-e", "require.resolve('openai')"], capture_output=True, env=os.environ)
    return found.returncode == 0


@pytest.mark.skipif(not node_sdk(), reason="needs Node.js and its package openai: npm install openai")
def test_the_node_sdk(server, model):
    done = subprocess.run(["node", "-e", NODE, server.url + "/v1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pcm"]["type"] == "audio/pcm" and base64.b64decode(told["pcm"]["data"]) == expected(model)
    assert seconds(base64.b64decode(told["wav"]["data"])) > 0.3
    assert told["models"] == ["config"] and told["model"] == "tts-1"
    assert told["refused"] == [400, "voice", "BadRequestError"]


# --- chat programs -------------------------------------------------------------------------------------------------------


def test_open_webui(server):
    """It lists models and voices for its settings, then requests an MP3 for each sentence."""
    models = requests.get(server.url + "/v1/audio/models", headers=KEY).json()["models"]
    assert [model["id"] for model in models] == ["config"] and models[0]["name"]
    voices = {
        voice["id"]: voice["name"]
        for voice in requests.get(server.url + "/v1/audio/voices", headers=KEY).json()["voices"]
    }
    assert voices["alba"] == "alba"
    headers = KEY | {
        "Content-Type": "application/json",
        "X-OpenWebUI-User-Name": "me",
        "X-OpenWebUI-User-Id": "1",
        "X-OpenWebUI-User-Email": "me@example.org",
        "X-OpenWebUI-User-Role": "user",
    }
    for body in (
        {"model": "tts-1", "input": "Hi there.", "voice": "alloy"},
        {"input": "Hi.", "voice": "alba", "model": "config"},
    ):
        answer = requests.post(server.url + "/v1/audio/speech", json=body, headers=headers)
        assert answer.headers["Content-Type"] == "audio/mpeg" and seconds(answer.content) > 0.3


def test_sillytavern(server):
    """Its OpenAI-compatible provider sends requests from the browser, with a preflight."""
    page = {"Origin": "http://127.0.0.1:8000"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    preflight = requests.options(server.url + "/v1/audio/speech", headers=page | asked)
    assert preflight.status_code == 204 and preflight.headers["Access-Control-Allow-Origin"] == page["Origin"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    body = {"model": "tts-1", "input": "Hi there.", "voice": "alloy", "response_format": "mp3", "speed": 1}
    answer = requests.post(server.url + "/v1/audio/speech", json=body, headers=KEY | page)
    assert answer.status_code == 200 and seconds(answer.content) > 0.3
    assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]


# --- routes that clients try ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/v1/", "/v1//", "//v1"])
def test_an_address_with_more_slashes(server, model, address):
    """Programs append their path to the address that a person typed, often with a slash at its end."""
    body = {"input": TEXT, "voice": "alba", "seed": 1, "response_format": "pcm"}
    for path in ("/audio/speech", "/audio/speech/"):
        assert requests.post(server.url + address + path, json=body, headers=KEY).content == expected(model), path
    assert requests.get(server.url + address + "/models/", headers=KEY).json()["data"]
    assert requests.get(server.url + address + "/models/").status_code == 401
    assert (
        requests.get(server.url + "//health").ok
        and requests.options(server.url + address + "/voices/").status_code == 204
    )


def test_voices_under_both_addresses(server):
    one, other = (requests.get(server.url + path, headers=KEY).json() for path in ("/v1/voices", "/v1/audio/voices"))
    assert one == other and any(voice["default"] for voice in one["voices"])


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/openapi.json", "/static/app.js"])
def test_head(server, path):
    full, head = requests.get(server.url + path), requests.head(server.url + path)
    assert full.status_code == head.status_code == 200 and head.content == b""
    assert head.headers["Content-Type"] == full.headers["Content-Type"]
    assert head.headers["Content-Length"] == str(len(full.content))


@pytest.mark.parametrize(
    "path, methods",
    [
        ("/v1/audio/speech", {"POST", "OPTIONS"}),
        ("/", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/audio/voices", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/v1/audio/voices/me", {"DELETE", "OPTIONS"}),
    ],
)
def test_options(server, model, path, methods):
    answer = requests.options(server.url + path)
    assert answer.status_code == 204 and set(answer.headers["Allow"].split(", ")) == methods
    with serving(model) as closed:  # no pages from elsewhere
        answer = requests.options(closed.url + path, headers={"Origin": "http://a"})
        assert answer.status_code == 204 and not [name for name in answer.headers if name.startswith("Access-Control")]
    assert requests.options(server.url + "/nothing", headers=KEY).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"])
def test_methods_that_a_route_does_not_have(server, method):
    """A 405 names the allowed methods, on each documented route."""
    for path, methods in json.loads(openapi())["paths"].items():
        if method.lower() in methods or (method == "HEAD" and "get" in methods):
            continue
        answer = requests.request(method, server.url + path.format(voice="v", model="m"), headers=KEY)
        allowed = {name.upper() for name in methods} | {"OPTIONS"} | ({"HEAD"} if "get" in methods else set())
        assert answer.status_code == 405 and set(answer.headers["Allow"].split(", ")) == allowed, path
        assert method == "HEAD" or f"{method} is not allowed here: use {answer.headers['Allow']}" in answer.text


def test_docs_ask_nobody_else(server):
    page = requests.get(server.url + "/docs")
    assert (
        page.headers["Content-Type"].startswith("text/html")
        and "default-src 'none'" in page.headers["Content-Security-Policy"]
    )
    sources = [page.text] + [requests.get(f"{server.url}/static/docs.{kind}").text for kind in ("js", "css")]
    assert "docs.js" in page.text and "docs.css" in page.text
    assert not [source for source in sources if re.search(r"https?:|[\"'`(]//", source)]
    assert requests.get(server.url + "/docs/", headers=KEY).status_code == 404  # the links of the page are relative
