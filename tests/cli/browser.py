# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium over the pipes of its DevTools protocol (https://chromedevtools.github.io/devtools-protocol)."""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PATH = shutil.which("chromium")
SECONDS = 60  # for an answer; a loaded machine is slow


class Browser:
    """One page of 1366 x 768, a laptop's. `errors`: what the page's scripts threw, or logged as errors or warnings;
    `requests`: the addresses that it fetched."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="oscsim-chromium-", ignore_cleanup_errors=True)
        commands, self.to_browser = os.pipe()
        self.from_browser, answers = os.pipe()
        self.process = subprocess.Popen(
            # The protocol is on file descriptors 3 (in) and 4 (out). The shell moves ours there, which may be 4 and 3.
            ["bash", "-c", f'exec 8<&{commands} 9>&{answers} 3<&8 4>&9; exec "$@"', "bash", PATH]
            + ["--headless", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={self.folder.name}"]
            + [
                "--window-size=1366,768",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers),
        )
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.errors, self.requests, self.session = b"", 0, [], [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Page", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1366, height=768, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        self.folder.cleanup()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_browser, data) :]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            answer = self.message(end)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
        raise TimeoutError(method)

    def message(self, end):
        while b"\0" not in self.buffer:
            if not select.select([self.from_browser], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            more = os.read(self.from_browser, 1 << 20)
            if not more:
                raise RuntimeError("chromium ended")
            self.buffer += more
        text, self.buffer = self.buffer.split(b"\0", 1)
        answer = json.loads(text)
        self.note(answer.get("method"), answer.get("params"))
        return answer

    def note(self, method, event):
        if method == "Runtime.exceptionThrown":
            self.errors.append(event["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(event["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    def open(self, path):
        self.errors, self.requests = [], []
        self.call("Page.navigate", url=pathlib.Path(path).absolute().as_uri())
        self.value(
            "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', () => done()))"
        )

    def value(self, expression):
        """Of a JavaScript expression, or of what a promise promises."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def screenshot(self, path):
        """The whole page, not only what is on the screen."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(image))
