# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium through chromedriver's own protocol (W3C WebDriver)."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--disable-background-networking"]


def missing():
    """Why there is no browser to drive; empty if there is one."""
    lacking = [name for name in ("chromium", "chromedriver")
               if shutil.which(name) is None]
    return f"no {' and no '.join(lacking)} here" if lacking else ""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Browser:
    """A context manager; one page at a time."""

    def __enter__(self):
        port = _free_port()
        self._address = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={port}", "--silent"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._await_driver()
            options = {"browserName": "chrome",
                       "goog:chromeOptions": {"args": ARGUMENTS},
                       "goog:loggingPrefs": {"browser": "ALL",
                                             "performance": "ALL"}}
            self._session = ""
            made = self._call("POST", "/session",
                              {"capabilities": {"alwaysMatch": options}})
            self._session = "/session/" + made["sessionId"]
        except BaseException:
            self._driver.kill()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait()

    def _await_driver(self):
        for _ in range(200):
            try:
                urllib.request.urlopen(self._address + "/status").close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("chromedriver does not answer")

    def _call(self, method, path, body=None):
        path = getattr(self, "_session", "") + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, method=method, data=data,
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def _devtools(self, command, **parameters):
        return self._call("POST", "/goog/cdp/execute",
                          {"cmd": command, "params": parameters})

    def resize(self, width, height=900):
        self._devtools("Emulation.setDeviceMetricsOverride", width=width,
                       height=height, deviceScaleFactor=1, mobile=width < 500)

    def prefer(self, scheme):
        self._devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def open(self, path):
        """Opens a file; returns the seconds until it was drawn."""
        start = time.monotonic()
        self._call("POST", "/url", {"url": path.resolve().as_uri()})
        self._call("POST", "/execute/async", {"args": [], "script":
                   "const done = arguments[0]; requestAnimationFrame("
                   "() => requestAnimationFrame(() => done()));"})
        return time.monotonic() - start

    def run(self, script):
        return self._call("POST", "/execute/sync",
                          {"script": script, "args": []})

    def console(self):
        """Messages since the last call, without the driver's own."""
        return [entry["message"] for entry in
                self._call("POST", "/se/log", {"type": "browser"})]

    def requests(self):
        """Addresses asked for since the last call."""
        found = []
        for entry in self._call("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def screenshot(self, path):
        """The whole page as a PNG file."""
        data = self._devtools("Page.captureScreenshot",
                              captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))
