"""A Chromium without a window, driven over its DevTools pipe: real keys, real media, no library. No test itself.

The protocol (chromedevtools.github.io/devtools-protocol): JSON messages that end in NUL, written to the browser's
file descriptor 3 and read from its descriptor 4.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "Escape": 27}


class Browser:
    """One page of a running Chromium."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = os.fdopen(reading, "rb", buffering=0)
        self._writing = os.fdopen(writing, "wb", buffering=0)
        self._left = b""
        self._asked = 0
        self._session: str | None = None
        self.events: list[Mapping[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: object) -> Mapping[str, Any]:
        """Return what the browser answers; events that come first are kept in `events`."""
        self._asked += 1
        message: dict[str, object] = {"id": self._asked, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._writing.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") != self._asked:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            result: Mapping[str, Any] = answer["result"]
            return result

    def _next(self) -> Mapping[str, Any]:
        while b"\0" not in self._left:
            piece = self._reading.read(1 << 16)
            if not piece:
                raise RuntimeError("the browser ended")
            self._left += piece
        line, _, self._left = self._left.partition(b"\0")
        found: Mapping[str, Any] = json.loads(line)
        return found

    def wait(self, method: str) -> Mapping[str, Any]:
        """Return the next event of a name; those before it are kept in `events`."""
        while True:
            event = self._next()
            self.events.append(event)
            if event.get("method") == method:
                return event

    def open(self, page: Path) -> None:
        """Load a file and wait until it stands; events of earlier pages are forgotten."""
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        if not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.wait("Page.loadEventFired")

    def size(self, width: int, height: int) -> None:
        """Give the window a size in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, scheme: str = "light", medium: str = "") -> None:
        """Choose the colour scheme that the reader prefers; `medium` print shows on the screen what paper would get."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=medium, features=features)

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go of a key, as a hand does."""
        code = KEYS[key]
        typed = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": {"Enter": "\r", "Space": " "}[key]} if key in ("Enter", "Space") else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **typed, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **typed)

    def pdf(self, width: float = 8.27, height: float = 11.69) -> bytes:
        """Return the page printed on paper of a size in inches (A4 unless given), the page's own margins kept."""
        given = {"paperWidth": width, "paperHeight": height, "preferCSSPageSize": False, "printBackground": False}
        return base64.b64decode(self.ask("Page.printToPDF", **given)["data"])

    def picture(self, **clip: float) -> bytes:
        """Return a PNG of the window, or of a part of the page: x, y, width, height."""
        part = {"clip": {"scale": 1, **clip}} if clip else {}
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=bool(clip), **part)
        return base64.b64decode(answer["data"])

    def named(self) -> list[Mapping[str, Any]]:
        """Return the accessibility tree as a screen reader walks it, without what it skips."""
        nodes: Sequence[Mapping[str, Any]] = self.ask("Accessibility.getFullAXTree")["nodes"]
        return [node for node in nodes if not node.get("ignored")]

    def close(self) -> None:
        """Let go of the pipe; the browser ends by itself."""
        self._writing.close()
        self._reading.close()


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Give a browser with a profile of its own for the length of a `with`."""
    to_browser, from_browser = os.pipe(), os.pipe()

    def handed() -> None:
        ours = os.dup(to_browser[0]), os.dup(from_browser[1])  # first out of the way of 3 and 4
        os.dup2(ours[0], 3)
        os.dup2(ours[1], 4)

    command = [CHROMIUM or "", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    silence = subprocess.DEVNULL
    with subprocess.Popen(command, close_fds=False, preexec_fn=handed, stdout=silence, stderr=silence) as process:
        os.close(to_browser[0])
        os.close(from_browser[1])
        browser = Browser(from_browser[0], to_browser[1])
        try:
            yield browser
        finally:
            browser.close()
            process.terminate()
            process.wait(timeout=30)
