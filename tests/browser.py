"""A headless Chromium, controlled with its DevTools protocol over a pipe, without a driver, a port or a library.

    with Browser(folder) as browser:                   # an empty folder, for its profile
        page = browser.open("http://127.0.0.1:8000/", width=390, height=844)
        page.click("#speak")
        page.wait("document.title == 'pockettts'")     # until a JavaScript expression holds
        page.events("Network.requestWillBeSent")       # all such events so far

The protocol: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]
PATIENCE = 30  # seconds that anything may take; CI is slow at times
KEYS = {" ": "Space", "Enter": "Enter", "Escape": "Escape", "Tab": "Tab"}
CODES = {" ": 32, "Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35}
TEXTS = {" ": " ", "Enter": "\r"}
CTRL, SHIFT = 2, 8


class Browser:
    def __init__(self, folder: Path):
        if not CHROMIUM:
            raise FileNotFoundError("no chromium on PATH: `apt-get install chromium`")
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        # Chromium reads from 3 and writes to 4, which may be in use here.
        inherited = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]

        def place():
            for fd, to in zip(inherited, (3, 4), strict=True):
                os.dup2(fd, to)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=place,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (theirs_in, theirs_out, *inherited):
            os.close(fd)
        self._rest, self._last, self.seen = b"", 0, []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        self.send("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._out)
        os.close(self._in)

    def open(self, url: str, width: int = 1100, height: int = 900, before: str = "", **media: str) -> "Page":
        """Open a page with its own storage.

        Args:
            before: JavaScript to run ahead of the page's.
            media: features, such as prefers_color_scheme="dark".
        """
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(self, context, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        page.send("Emulation.setEmulatedMedia", features=features)
        page.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        page.send("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.goto(url)
        return page

    def send(self, method: str, session: str | None = None, **params) -> dict:
        """Call a method of the protocol and wait for its result. Events that arrive meanwhile are stored in `seen`."""
        self._last += 1
        call = {"id": self._last, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(call).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self.seen.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], PATIENCE)[0]:
                raise TimeoutError("Chromium does not answer")
            self._rest += os.read(self._in, 1 << 20)
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


def until(look: Callable, what: str = ""):
    """Wait until `look` returns a true value; returns it."""
    end = time.monotonic() + PATIENCE
    while not (value := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"never true: {what or look}")
        time.sleep(0.02)
    return value


class Page:
    def __init__(self, browser: Browser, context: str, session: str):
        self.browser, self.context, self.session = browser, context, session

    def send(self, method: str, **params) -> dict:
        return self.browser.send(method, self.session, **params)

    def goto(self, url: str) -> None:
        self.evaluate("window.before = true")
        self.send("Page.navigate", url=url)
        self.wait("!window.before && document.readyState == 'complete'")

    def close(self) -> None:
        self.browser.send("Target.disposeBrowserContext", browserContextId=self.context)

    def events(self, method: str) -> list[dict]:
        """The parameters of all events of this name, in order."""
        self.evaluate("1")  # read what has come
        return [e["params"] for e in self.browser.seen if e.get("sessionId") == self.session and e["method"] == method]

    def evaluate(self, expression: str):
        """The value of a JavaScript expression. Waits for promises."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        until(lambda: self.evaluate(f"Boolean({expression})"), expression)

    def text(self, selector: str) -> str:
        """The text of an element."""
        return self.evaluate(f"document.querySelector({selector!r}).innerText")

    def click(self, selector: str, across: float = 0.5) -> None:
        """Click on an element, at this fraction of its width."""
        x, y = self.place(selector, across)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def place(self, selector: str, across: float = 0.5) -> tuple[float, float]:
        """Scroll to an element; returns its position."""
        return self.evaluate(f"""(() => {{
            const element = document.querySelector({selector!r});
            element.scrollIntoView({{ block: "center" }});
            const box = element.getBoundingClientRect();
            return [box.left + box.width * {across}, box.top + box.height / 2];
        }})()""")

    def press(self, key: str, modifiers: int = 0) -> None:
        named = {"key": key, "code": KEYS.get(key, key), "windowsVirtualKeyCode": CODES[key], "modifiers": modifiers}
        text = {"text": TEXTS[key]} if key in TEXTS and not modifiers else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def type(self, text: str) -> None:
        """Type text into the focused element."""
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file for a file input."""
        node = self.send("Runtime.evaluate", expression=f"document.querySelector({selector!r})")["result"]
        self.send("DOM.setFileInputFiles", files=[str(file)], objectId=node["objectId"])

    def drop(self, selector: str, file: Path) -> None:
        """Drop a file on an element."""
        x, y = self.place(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def screenshot(self, file: Path) -> None:
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        image = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        file.write_bytes(base64.b64decode(image))
