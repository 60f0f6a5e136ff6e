"""
The programs of the README, each run as the page says, in a folder that has nothing else.
"""

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import ConsoleMessage
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

import twistream
from tests.e2e.browser import SECONDS, launched
from tests.e2e.net import LIMIT
from tests.e2e.pages import ROOT, Command, Page, run_curl
from tests.e2e.twistd import LOCAL, Running, until
from twistream import Context

README = Page("README.rst")


TRIAL = "python -m twisted.trial test_ticks"


def sessions() -> dict[str, list[Command]]:
    """
    Each command that starts a server, with the curl commands that follow it.
    """
    found: dict[str, list[Command]] = {}
    for command in README.commands("twistd", "python", "curl"):
        if command.line.startswith("curl"):
            [*_, last] = found.values()
            last.append(command)
        elif command.line != TRIAL:
            found[command.line] = []
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    A folder with the files that the page has the reader save, and no others.
    """
    for name, text in README.files().items():
        (tmp_path / name).write_text(text)
    return tmp_path


@contextmanager
def serving(line: str, folder: Path) -> Iterator[int]:
    """
    Run a command that starts a server, and give the port that it listens on.
    """
    match shlex.split(line):
        case ["twistd", "-n", "twistream", *arguments]:
            running = Running(folder, "--listen", LOCAL, *arguments)
            try:
                [url] = running.urls()
                yield urlsplit(url).port or 0
            finally:
                running.stop()
            assert "Traceback" not in running.log
        case ["python", name]:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            path = folder / name
            path.write_text(path.read_text().replace("8080", str(port)))
            process = subprocess.Popen([sys.executable, name], cwd=folder)
            try:
                until(lambda: process.poll() is not None or listens(port), f"{name} listens")
                yield port
            finally:
                process.terminate()
                process.wait(LIMIT)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), LIMIT).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("line", sessions())
def test_a_server_answers_curl_as_the_page_shows(line: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    with serving(line, folder) as port:
        run_curl(sessions()[line], port, output)


def test_every_program_is_run() -> None:
    served = {re.split(r"[ :.]", line.partition("--app ")[2])[0] for line in sessions()}
    served |= {Path(line.split()[1]).stem for line in sessions() if line.startswith("python ")}
    assert TRIAL in [command.line for command in README.commands("python")]
    assert {Path(name).stem for name in README.files()} == (served | {"follow", "test_ticks"}) - {
        ""
    }


@ensureDeferred
async def test_its_script_shows_a_story_in_a_browser(folder: Path, chromium: str) -> None:
    (script,) = README.blocks("javascript")

    def is_story(message: ConsoleMessage) -> bool:
        return message.text == "Rain"

    def shown() -> None:
        with (
            serving("twistd -n twistream --app news:root", folder) as port,
            launched(chromium) as browser,
        ):
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/")  # The error page, as the README suggests.
            page.evaluate(f"() => {{ {script}\nwindow.source = source; }}")
            page.wait_for_function("() => source.readyState === EventSource.OPEN")
            with page.expect_console_message(is_story, timeout=SECONDS * 1000):
                page.evaluate("() => fetch('/publish', {method: 'POST', body: 'Rain'})")

    await deferToThread(shown)


@pytest.mark.parametrize("arguments", [TRIAL.split()[1:], ["-m", "pytest", "test_ticks.py"]])
def test_its_test_passes_and_can_fail(folder: Path, arguments: list[str]) -> None:
    for status in 0, 1:
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert result.returncode == status, result.stdout
        (folder / "handlers.py").write_text("def ticks(ctx):\n    return 'nothing ticks'\n")


def test_the_table_names_what_exists() -> None:
    for name in set(re.findall(r"ctx\.([a-z_]+)", README.tables())):
        assert hasattr(Context, name), name
    assert hasattr(twistream, "StopStream")


def test_the_make_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [command.line.split()[1] for command in README.commands("make")]
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_client_prints_what_is_published(folder: Path, tmp_path: Path) -> None:
    client = folder / "follow.py"
    output = tmp_path / "stories.txt"
    with serving("twistd -n twistream --app news:root", folder) as port, output.open("w") as file:
        client.write_text(client.read_text().replace("8080", str(port)))
        process = subprocess.Popen([sys.executable, client.name], cwd=folder, stdout=file)
        try:
            for _ in range(100):  # It may not have subscribed yet.
                with urlopen(f"http://127.0.0.1:{port}/publish", b"Rain", LIMIT) as response:
                    response.read()
                if output.read_text():
                    break
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait(LIMIT)
    assert output.read_text().startswith('story {"title":"Rain"}\n')
