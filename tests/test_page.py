"""The web page of a real server in a real browser, with clicks and keys. Each test controls what the server sends and when."""

import base64
import json
import os
import queue
import re
import threading
import time
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import requests
import soundfile
from browser import CHROMIUM, CTRL, SHIFT, Browser, until
from serving import load, serving

from pockettts import TTSModel
from pockettts.config.load import load_config
from pockettts.errors import BusyError, PocketTTSError
from pockettts.options import NUMBERS
from pockettts.sound.encode import pcm16
from pockettts.words.alignment import Word

if not CHROMIUM and not os.environ.get("CI"):
    pytest.skip(
        "the page is tested in Chromium, which is not here: `apt-get install chromium`", allow_module_level=True
    )

RATE = 24_000
BLOCKS = np.split(
    (np.sin(np.arange(2.4 * RATE) / 20) * np.linspace(0.1, 0.7, int(2.4 * RATE))).astype(np.float32), 30
)  # 80 ms each
SPEECH = np.concatenate([np.frombuffer(pcm16(block), "<i2") for block in BLOCKS])
# All that goes to the sound card: when, in samples of its clock, and what.
LISTEN = """
    window.heard = [];
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (when) {
        heard.push([Math.round(when * 24000), Array.from(this.buffer.getChannelData(0), (x) => x * 32768)]);
        return start.call(this, when);
    };
"""
DONE = "document.querySelector('#status').innerText == 'Done.'"
HEARD = "document.querySelector('#time').innerText != '0:00.0'"
WHOLE = "!document.querySelector('#download').disabled"


class Script:
    """An engine that sends the blocks that the test puts into `speech`, until None for the end or an exception for an error."""

    def __init__(self):
        self.speech = deque()
        self.lock = threading.Lock()
        self.asked = queue.Queue()  # (text, voice state, options)
        self.left = threading.Event()  # a client went before the end
        self.refusal = None
        self.words = []  # that were found so far

    def say(self, *blocks):
        self.speech.extend(blocks)

    def submit(self, model, text, voice, options, with_words):
        self.asked.put((text, voice, options))
        if self.refusal:
            raise self.refusal
        return Spoken(self)


class Spoken:
    rtf = 0.0

    def __init__(self, script):
        self.script, self.closed, self.over, self.words = script, False, False, script.words

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            with self.script.lock:
                if self.closed:
                    raise StopIteration
                if self.script.speech:
                    block = self.script.speech.popleft()
                    break
            time.sleep(0.005)
        if isinstance(block, np.ndarray):
            return block
        self.over = True
        raise block or StopIteration

    def close(self):
        with self.script.lock:
            self.closed = True
        if not self.over:
            self.script.left.set()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@pytest.fixture(scope="module")
def server(model):
    with serving(model) as server:
        yield server


@pytest.fixture
def script(server, monkeypatch):
    script = Script()
    monkeypatch.setattr(server.engine, "submit", script.submit)
    return script


@pytest.fixture
def page(browser, server, script):
    """The loaded page. Asserts at the end that there were no console messages and no requests to other hosts."""
    page = opened(browser, server, before=LISTEN)
    yield page
    closed(page, server)


def opened(browser, server, **options):
    page = browser.open(server.url + "/", **options)
    page.wait("document.querySelector('#names input')")
    return page


def closed(page, server):
    assert complaints(page) == []
    assert strangers(page, server) == []
    page.close()


def complaints(page):
    """The messages on the browser's console, except rejected requests, which tests cause on purpose."""
    said = [e["exceptionDetails"]["text"] for e in page.events("Runtime.exceptionThrown")]
    said += [str(e["args"]) for e in page.events("Runtime.consoleAPICalled")]
    return said + [e["entry"]["text"] for e in page.events("Log.entryAdded") if e["entry"]["source"] != "network"]


def strangers(page, server):
    """Requests to other hosts than the server."""
    asked = [e["request"]["url"] for e in page.events("Network.requestWillBeSent")]
    return [url for url in asked if not url.startswith((server.url, "data:", f"blob:{server.url}"))]


def speak(page, text="Two words."):
    """Replace the text and press the button."""
    page.evaluate("document.querySelector('#text').select()")
    page.type(text)
    page.click("#speak")


def error(page, text):
    page.wait(f"document.querySelector('#error').innerText == {text!r}")


def seconds(page):
    """The playback position in seconds."""
    return float(page.text("#time").split(":")[1])


def heard(page):
    """The scheduled sound: (time, samples) of each block, with times in samples."""
    return [(when, np.array(samples)) for when, samples in page.evaluate("heard")]


def sound_of(page):
    return np.concatenate([samples for _, samples in heard(page)])


# --- listening -----------------------------------------------------------------------------------------------------------


def test_text_is_spoken(page, script):
    speak(page, "Hear me before I am done.")
    assert script.asked.get(timeout=30)[0] == "Hear me before I am done."
    page.wait("document.querySelector('#status').innerText.startsWith('Waiting for the first')")
    script.say(*BLOCKS[:15])
    page.wait("document.querySelector('#status').innerText == 'Speaking.'")
    page.wait(HEARD)  # and no more has been said
    assert page.text("#speak") == "Stop"
    assert page.text("#seconds") == "1.2 s"
    assert not page.evaluate(WHOLE)
    script.say(*BLOCKS[15:], None)
    page.wait(DONE)
    assert page.text("#speak") == "Speak"
    assert page.text("#seconds") == "2.4 s"
    assert re.fullmatch(r"\d+ ms", page.text("#ttfa"))
    assert re.fullmatch(r"\d+\.\d{3}", page.text("#rtf"))
    assert np.array_equal(sound_of(page), SPEECH)


def test_blocks_join_seamlessly(page, script):
    """Each block is scheduled at the end of the previous one, and Web Audio renders exactly these samples."""
    script.say(*BLOCKS, None)
    speak(page)
    page.wait(WHOLE)
    page.evaluate("heard.length = 0")
    page.click("#wave", across=0)  # from the start, now that all is there
    until(lambda: len(sound_of(page)) == len(SPEECH))
    pieces = heard(page)
    assert len(pieces) > 1
    for (when, samples), (upcoming, _) in zip(pieces, pieces[1:], strict=False):
        assert when + len(samples) == upcoming
    rendered = page.evaluate("""(async () => {
        const [from, end] = [heard[0][0], heard.at(-1)[0] + heard.at(-1)[1].length];
        const context = new OfflineAudioContext(1, end - from, 24000);
        for (const [when, samples] of heard) {
            const buffer = new AudioBuffer({ length: samples.length, sampleRate: 24000 });
            buffer.copyToChannel(Float32Array.from(samples, (x) => x / 32768), 0);
            const source = new AudioBufferSourceNode(context, { buffer });
            source.connect(context.destination);
            AudioScheduledSourceNode.prototype.start.call(source, (when - from) / 24000);
        }
        return Array.from((await context.startRendering()).getChannelData(0), (x) => x * 32768);
    })()""")
    assert np.array_equal(rendered, SPEECH)


def test_playback_waits_for_a_late_server(page, script):
    speak(page)
    script.say(*BLOCKS[:3])
    page.wait("document.querySelector('#status').innerText.startsWith('Waiting for more')")
    script.say(*BLOCKS[3:8], None)
    page.wait(DONE)
    assert np.array_equal(sound_of(page), SPEECH[: 8 * 1920])


def test_bytes_may_be_split_anywhere(browser, server):
    line = lambda data: json.dumps({"audio": base64.b64encode(data).decode(), "timestamps": []}) + "\n"  # noqa: E731
    cut = """const sent = SENT, real = window.fetch;
    window.fetch = async (path, options) => path != "dev/captioned_speech" ? real(path, options) : new Response(new ReadableStream({
        start(to) { for (const byte of new TextEncoder().encode(sent)) to.enqueue(Uint8Array.from([byte])); to.close(); },
    }));""".replace("SENT", json.dumps(line(bytes(range(1, 5))) + line(bytes(range(5, 9)))))
    page = opened(browser, server, before=LISTEN + cut)
    speak(page)
    page.wait(DONE)
    assert list(sound_of(page)) == list(np.frombuffer(bytes(range(1, 9)), "<i2"))
    closed(page, server)


def test_the_spoken_word_is_highlighted(page, script):
    """Each word is highlighted while it plays, also the second of two equal ones. A number spoken as words has no position."""
    text = "One and one are 2, once more."
    heard = ["One", "and", "one", "are", "two,", "once", "more."]
    speak(page, text)
    script.say(*BLOCKS[:15])
    page.wait(HEARD)
    assert page.evaluate("document.querySelector('mark')") is None  # not known yet
    script.words += [Word(word, 0.3 * n, 0.3 * n + 0.3) for n, word in enumerate(heard)]
    page.evaluate("""window.marked = [], window.before = [];
    new MutationObserver(() => {
        const mark = document.querySelector("mark");
        if (mark) { marked.push(mark.textContent); before.push(mark.previousSibling.textContent.length); }
    }).observe(document.querySelector("#reading"), { childList: true });""")
    script.say(*BLOCKS[15:], None)
    page.wait(DONE)
    marked = dict(zip(page.evaluate("before"), page.evaluate("marked"), strict=True))
    assert marked[text.index("one")] == "one" and marked[text.index("more")] == "more." and "once" in marked.values()
    assert all(text[at:].startswith(word) for at, word in marked.items())
    assert page.evaluate("document.querySelector('mark')") is None  # it is over
    lies = "['#text', '#reading'].map((id) => { const style = getComputedStyle(document.querySelector(id));"
    assert page.evaluate(
        lies + " return style.font + style.lineHeight + style.paddingTop; }).every((x, _, all) => x === all[0])"
    )


def test_an_edited_text_has_no_highlights(page, script):
    script.words += [Word("Two", 0.0, 1.0), Word("words.", 1.0, 2.4)]
    speak(page)
    script.say(*BLOCKS[:10])
    page.wait("document.querySelector('mark')?.textContent == 'Two'")
    page.evaluate("document.querySelector('#text').value = 'Something else'")
    page.wait("!document.querySelector('mark')")
    script.say(None)


def test_models_are_chosen(browser, model, tiny_model):
    other = TTSModel.load(config=replace(load_config(tiny_model), name="other"), threads=2)
    other.get_voice_state = model.get_voice_state
    with serving(model, other) as server:
        page = opened(browser, server)
        assert page.evaluate("[...document.querySelector('#models').options].map((each) => each.value)") == [
            "config",
            "other",
        ]
        page.evaluate("document.querySelector('#models').value = 'other'")
        page.evaluate("document.querySelector('#models').dispatchEvent(new Event('change'))")
        page.wait("performance.getEntriesByType('resource').some((each) => each.name.endsWith('voices?model=other'))")
        page.wait("document.querySelector('#names input')")
        speak(page)
        page.wait(WHOLE)
        sent = page.events("Network.requestWillBeSent")
        bodies = [
            json.loads(e["request"]["postData"]) for e in sent if e["request"]["url"].endswith("captioned_speech")
        ]
        assert [body["model"] for body in bodies] == ["other"]
        page.evaluate("localStorage.clear()")
        closed(page, server)


def test_seeking_by_click_and_keys(page, script):
    speak(page)
    script.say(*BLOCKS[:10])
    page.wait(HEARD)
    assert page.evaluate("document.querySelector('#wave').ariaDisabled") == "true"  # not before it is whole
    script.say(*BLOCKS[10:], None)
    page.wait(DONE)
    page.evaluate("document.querySelector('#wave').focus()")
    page.press("End")
    page.press("ArrowLeft")
    assert seconds(page) == 1.4
    assert page.evaluate("document.querySelector('#wave').ariaValueNow") == "1"
    page.press("Home")
    assert seconds(page) == 0
    page.press("ArrowRight")
    assert seconds(page) == 1
    page.click("#wave", across=0.25)
    page.press(" ")
    assert page.text("#status") == "Paused."
    assert 0.55 < seconds(page) < 2.4


def test_download_is_complete_and_correct(page, script, browser, tmp_path):
    script.say(*BLOCKS, None)
    speak(page, "Grüße, world!")
    page.wait(WHOLE)
    browser.send(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), browserContextId=page.context
    )
    page.click("#download")
    file = until(lambda: next(tmp_path.glob("*.wav"), None))
    info = soundfile.info(file)
    assert (file.name, file.stat().st_size) == ("grüße-world.wav", 44 + 2 * len(SPEECH))
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, RATE)
    assert np.array_equal(soundfile.read(file, dtype="int16")[0], SPEECH)


# --- stopping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["button", "escape"])
def test_stop(page, script, how):
    speak(page)
    script.say(*BLOCKS[:10])
    page.wait(HEARD)
    page.click("#speak") if how == "button" else page.press("Escape")
    assert page.text("#status") == "Stopped."
    assert page.text("#speak") == "Speak"
    assert script.left.wait(30)  # the server knows, too
    page.click("#play")  # the received part can be played
    page.wait(DONE)


def test_speaking_again_stops_the_first(page, script):
    speak(page, "One.")
    script.say(*BLOCKS[:5])
    page.wait(HEARD)
    page.press("Enter", CTRL)
    assert script.left.wait(30)
    script.say(*BLOCKS[5:10], None)
    page.wait(DONE)
    assert page.text("#seconds") == "0.4 s"


# --- errors --------------------------------------------------------------------------------------------------------------


def test_errors_are_explained(page, script):
    script.refusal = BusyError("all 8 places are taken")
    speak(page)
    error(page, "All 8 places are taken.")
    assert page.text("#status") == ""
    script.refusal = None
    script.say(PocketTTSError("the model is gone"))
    page.click("#speak")
    error(page, "The model is gone.")
    script.say(*BLOCKS[:3], None)
    page.click("#speak")
    page.wait(DONE)
    assert page.text("#error") == ""
    speak(page, " ")
    error(page, "Write something to say.")
    assert page.evaluate("document.activeElement.id") == "text"
    page.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    speak(page)
    error(page, "The server can’t be reached: is it still running?")


def test_interrupted_speech_is_an_error(page, script):
    speak(page)
    script.say(*BLOCKS[:5])
    page.wait(HEARD)
    script.say(PocketTTSError("the model is gone"))
    page.wait("document.querySelector('#error').innerText.startsWith('The speech broke off')")
    page.wait("document.querySelector('#speak').innerText == 'Speak'")
    assert page.text("#status") == ""
    assert page.evaluate(WHOLE)  # what came is kept


def test_the_page_asks_for_a_key_if_the_server_requires_one(browser, model, page):
    assert page.evaluate("document.querySelector('#key-row').hidden")
    with serving(model, api_key="s3cret") as server:
        page = browser.open(server.url + "/")
        page.wait("document.activeElement.id == 'key'")
        assert page.text("#error") == "This server wants an API key."
        page.type("wrong")
        page.press("Tab")
        error(page, "The server does not take this API key.")
        page.evaluate("document.querySelector('#key').select()")
        page.type("s3cret")
        page.press("Tab")
        page.wait("document.querySelector('#names input')")
        assert page.text("#error") == ""
        page.click("#speak")
        page.wait(DONE)
        page.goto(server.url + "/?again")
        page.wait("document.querySelector('#names input')")  # kept for this tab
        closed(page, server)


# --- voices and knobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_clone(page, script, model, tmp_path, how):
    file = tmp_path / "my voice.wav"
    samples = (0.4 * np.sin(np.arange(30_000) / 30)).astype(np.float32)
    soundfile.write(file, np.stack([samples, samples], 1), RATE)
    page.choose("#file", file) if how == "chosen" else page.drop("#text", file)
    page.wait("document.querySelector('#status').innerText == 'Speaks like my voice from now on.'")
    assert page.evaluate("document.querySelector('#names :checked').parentElement.innerText") == "my voice"
    speak(page, "As I do.")
    text, voice, _ = script.asked.get(timeout=30)
    assert text == "As I do."
    assert all(map(np.array_equal, voice.layers, model.get_voice_state(file).layers))
    script.say(*BLOCKS[:3], None)
    page.wait(DONE)


def test_a_long_recording_is_cut_and_an_unreadable_one_is_rejected(page, script, tmp_path):
    file = tmp_path / "long.flac"
    soundfile.write(file, np.sin(np.arange(40 * 44_100) / 50) * 0.4, 44_100)
    page.choose("#file", file)
    page.wait("document.querySelector('#status').innerText == 'Speaks like long from now on.'")
    speak(page)
    assert script.asked.get(timeout=30)
    asked = page.events("Network.requestWillBeSent")[-1]["requestId"]
    body = page.send("Network.getRequestPostData", requestId=asked)["postData"]
    assert len(base64.b64decode(re.search(r"base64,([^\"]*)", body)[1])) == 44 + 30 * RATE * 2
    script.say(*BLOCKS[:1], None)
    page.wait(DONE)
    file = tmp_path / "odd.wav"
    file.write_bytes(b"no sound at all")
    page.choose("#file", file)
    page.wait("document.querySelector('#status').innerText == 'Speaks like odd from now on.'")
    page.click("#speak")
    page.wait("document.querySelector('#error').innerText.startsWith('The upload')")


def test_voice_and_settings_are_sent(page, script, model):
    knobs = {"speed": 1.5, "temperature": 0.55, "lsd_steps": 2, "eos_threshold": -3.5, "noise_clamp": 1.2, "seed": 7}
    page.click("#names label:nth-of-type(20)")
    page.click("summary")
    for knob, value in knobs.items():
        page.click(f"#{knob}")
        page.type(str(value))
    speak(page)
    _, voice, options = script.asked.get(timeout=30)
    assert page.evaluate("document.querySelector('#names :checked').value") == "marius"
    assert np.array_equal(voice.layers[0], model.get_voice_state("marius").layers[0])
    assert {**knobs, "lsd_decode_steps": 2}.items() - vars(options).items() == {("lsd_steps", 2)}
    script.say(*BLOCKS[:3], None)
    page.wait(DONE)
    page.click("#reset")
    page.click("#temperature")
    page.type("11")
    page.click("summary")
    page.click("#speak")
    page.wait("document.querySelector('#knobs').open && document.activeElement.id == 'temperature'")
    assert script.asked.empty()


def test_settings_have_the_limits_of_the_options(page):
    for knob in ("speed", "temperature", "lsd_steps", "noise_clamp", "seed"):
        number = NUMBERS["lsd_decode_steps" if knob == "lsd_steps" else knob]
        minimum, maximum, step = page.evaluate(
            f"(({{ min, max, step }}) => [min, max, step])(document.querySelector('#{knob}'))"
        )
        assert float(minimum) == number.minimum
        assert not maximum or float(maximum) == min(number.maximum, 2**53 - 1)  # JavaScript's whole numbers end there
        assert step == ("1" if number.kind is int else "any")


# --- everyone ------------------------------------------------------------------------------------------------------------


def test_keyboard_only(page, script):
    """Tab reaches every control and shows the focus; a text is typed, spoken, stopped and played again."""
    page.evaluate("document.querySelector('#knobs').open = true")
    reached, hidden = [], []
    for _ in range(30):
        page.press("Tab")
        name, seen = page.evaluate("""(() => {
            const here = document.activeElement;
            const near = [here, here.nextElementSibling ?? here, here.parentElement].map((element) => getComputedStyle(element));
            const outlined = near.some((look) => look.outlineStyle == "solid" && parseInt(look.outlineWidth) > 1 && look.opacity == 1);
            return [here.id || here.value || here.tagName, outlined || here.id == "text"];
        })()""")
        if name == "BODY" or name in reached:
            break
        reached.append(name)
        hidden += [] if seen else [name]
    assert reached == [
        "text",
        "speak",
        "wave",
        "alba",
        "file",
        "SUMMARY",
        "speed",
        "temperature",
        "lsd_steps",
        "eos_threshold",
        "noise_clamp",
        "seed",
        "reset",
        "A",
    ]
    assert hidden == []
    page.evaluate("document.querySelector('#text').select()")
    page.type("No mouse.")
    page.press("Enter", CTRL)
    assert script.asked.get(timeout=30)[0] == "No mouse."
    script.say(*BLOCKS)
    page.wait(HEARD)
    page.press("Escape")
    assert page.text("#status") == "Stopped."
    for _ in range(3):
        page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "play"
    page.press("Enter")
    page.wait(DONE)
    page.press("Tab", SHIFT)
    assert page.evaluate("document.activeElement.id") == "wave"


def test_settings_are_kept(page, server):
    page.evaluate("document.querySelector('#text').select()")
    page.type("Remember me.")
    page.click("#names label:nth-of-type(20)")
    page.click("summary")
    page.click("#seed")
    page.type("42")
    page.goto(server.url + "/?again")
    page.wait("document.querySelector('#names :checked')")
    fields = "#names :checked", "#text", "#seed"
    assert [page.evaluate(f"document.querySelector('{field}').value") for field in fields] == [
        "marius",
        "Remember me.",
        "42",
    ]


def test_blocked_storage_breaks_nothing(browser, server, script):
    blocked = """for (const name of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, name, { get() { throw new Error("blocked"); } });"""
    page = opened(browser, server, before=blocked)
    script.say(*BLOCKS[:3], None)
    speak(page)
    page.wait(DONE)
    closed(page, server)


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_no_element_is_wider_than_the_window(browser, server, script, width):
    page = opened(browser, server, width=width)
    page.evaluate("document.querySelector('#knobs').open = true")
    script.refusal = BusyError("w" * 300)
    speak(page, "x" * 200)
    page.wait("document.querySelector('#error').innerText")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    closed(page, server)


def test_color_schemes_and_reduced_motion(browser, server, script):
    looks = []
    for scheme in ("light", "dark"):
        page = opened(browser, server, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        looks.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate("getComputedStyle(document.querySelector('#speak')).transitionDuration") == "0s"
        closed(page, server)
    assert looks == ["rgb(250, 248, 244)", "rgb(21, 20, 18)"]


def test_headers(server):
    for path in ("/", "/static/app.js", "/static/style.css"):
        answer = requests.get(server.url + path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert answer.headers["Cache-Control"] == "no-cache"
        again = requests.get(server.url + path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert requests.get(server.url + "/static/../server/app.py").status_code == 404


def test_docs(browser, server):
    page = browser.open(server.url + "/docs")
    page.wait("document.querySelectorAll('details').length > 15")
    text = page.evaluate("document.body.textContent")
    for words in ("/v1/audio/speech", "DELETE", "response_format", '"opus"', "audio_sample", "temperature", "0 to 10"):
        assert words in text
    closed(page, server)


def test_end_to_end(browser, server, model, tmp_path):
    """With the real engine: the sound of the page is that of the library."""
    page = opened(browser, server)
    page.evaluate("document.querySelector('#seed').value = 3")
    speak(page, "Hello there. This is the real one.")
    page.wait(DONE)
    browser.send(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), browserContextId=page.context
    )
    page.click("#download")
    file = until(lambda: next(tmp_path.glob("*.wav"), None))
    expected = b"".join(
        map(pcm16, model.generate_stream("Hello there. This is the real one.", model.get_voice_state("alba"), seed=3))
    )
    assert soundfile.read(file, dtype="int16")[0].tobytes() == expected
    closed(page, server)
