"""Runs a listener until its standard input ends: `python -m hostile_clients.child receiver|emulator|proxy`.

Prints one line of JSON with the URL to attack and the URL that must keep working.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import voicegauge
from voicegauge.callback_receiver import run_receiver
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.server import running_app


def main() -> None:
    """Run the listener named by the argument."""
    logging.disable(logging.CRITICAL)
    if sys.argv[1] == "receiver":
        with run_receiver() as receiver:
            _wait(receiver.create_url(), receiver.create_url())
    elif sys.argv[1] == "proxy":
        command = [sys.executable, "-m", "hostile_clients.child", "service"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
            assert service.stdout is not None
            upstream = json.loads(service.stdout.readline())["working_url"]
            with voicegauge.proxy("pixelapi", upstream=upstream) as proxy:
                _wait(f"{proxy.url}/v1/tts/generate", f"{proxy.url}/v1/tts/generate")
            service.communicate()
    elif sys.argv[1] == "service":
        with running_app(_respond) as url:
            _wait(url, url)
    else:
        catalogue = load_catalogue()
        with running_app(create_app([catalogue.find_provider("pixelapi"), catalogue.find_provider("ttsai")])) as url:
            _wait(f"{url}/pixelapi/v1/tts/generate", f"{url}/_emulator/health")


async def _respond(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, and accept anything: the service behind the proxy."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


def _wait(attacked_url: str, working_url: str) -> None:
    print(json.dumps({"attacked_url": attacked_url, "working_url": working_url}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
