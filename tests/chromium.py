"""A headless Chromium, driven over a pipe by the DevTools protocol: no port, no package."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing outside is ever looked up
    "--remote-debugging-pipe",
)

#: Seconds to wait for any one answer; a busy machine is slow, a browser that hangs is a failure.
PATIENCE = 60

#: The protocol reads from descriptor 3 and writes to 4. They are put there after the fork, by a
#: small program: JAX's threads may hold locks that no code between fork and exec can wait for.
LAUNCH = """
import fcntl, os, sys
both = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(both[0], 3), os.dup2(both[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

KEYS = {"Enter": 13, "Tab": 9, " ": 32}


class BrowserError(Exception):
    """The browser can't be started, ended, or said no."""


def path() -> str | None:
    """Return the browser of ``$POLYTIMBRE_CHROMIUM``, or of the system."""
    named = os.environ.get("POLYTIMBRE_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """One browser with one page.

    Attributes
    ----------
    errors : list of str
        Exceptions, and errors on the console, of all pages so far.
    requests : list of str
        Every URL that was asked for.
    """

    def __init__(self, profile: Path) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._events: list[dict[str, Any]] = []
        self._buffer, self._number, self._session = b"", 0, None
        program = path()
        if program is None:
            raise BrowserError("there is no Chromium")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        self._log = Path(f"{profile}.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-IS", "-c", LAUNCH, str(theirs_in), str(theirs_out)),
                    *(program, *FLAGS, f"--user-data-dir={profile}", "about:blank"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs_in, theirs_out),
                start_new_session=True,
            )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") != self._number:
                self._note(answer)
            elif "error" in answer:
                raise BrowserError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, until - time.monotonic()))
            content = os.read(self._in, 1 << 20) if ready else b""
            if not content:
                problem = "ended" if ready else f"did not answer in {PATIENCE} s"
                said = self._log.read_text(errors="replace")[-2000:]
                raise BrowserError(f"the browser {problem}. It said: {said}")
            self._buffer += content
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                found = params["exceptionDetails"]
                self.errors.append(found.get("exception", {}).get("description", found["text"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(str([a.get("value") for a in params["args"]]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    def go(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self._events.clear()
        answer = self.send("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        if "loaderId" in answer:  # not the same page
            self._wait_until_loaded()

    def _wait_until_loaded(self) -> None:
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._note(self._receive())

    def js(self, expression: str) -> Any:
        """Evaluate an expression in the page and return its value."""
        found = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            said = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"{expression}: {said}")
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release one key."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        common = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click with the mouse on the first element that a CSS selector finds."""
        at = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const b = e.getBoundingClientRect(); "
            "return {x: b.x + Math.min(b.width, 20) / 2, y: b.y + b.height / 2}; })()"
        )
        common = {**at, "button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type="mousePressed", **common)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", **common)

    def follow(self, selector: str) -> None:
        """Click on a link and wait until its page is loaded."""
        self._events.clear()
        self.click(selector)
        self._wait_until_loaded()

    def size(self, width: int, height: int = 900) -> None:
        """Set the window's size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def media(self, kind: str = "", scheme: str = "") -> None:
        """Emulate ``print`` or ``screen``, ``dark`` or ``light``; nothing is the default."""
        features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
        self.send("Emulation.setEmulatedMedia", media=kind, features=features)

    def scripts(self, on: bool) -> None:
        """Allow or forbid scripts in pages that are opened from now on."""
        self.send("Emulation.setScriptExecutionDisabled", value=not on)

    def screenshot(self, file: Path, whole: bool = False) -> None:
        """Save a picture of what is shown, or of the whole page."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, file: Path) -> None:
        """Print the page."""
        found = self.send("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        file.write_bytes(base64.b64decode(found["data"]))
