"""
Run the examples as their docstrings say.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.browser import SECONDS, launched
from tests.e2e.conftest import program
from tests.e2e.net import LIMIT
from tests.e2e.pages import Command, run_curl
from tests.e2e.twistd import LOCAL, TWISTD, addresses, until

EXAMPLES = Path(__file__).parents[2] / "examples"


def served(app: str) -> list[str]:
    """
    The command that serves an application on a free port.
    """
    return [TWISTD, "-n", "--pidfile=", "twistream", "--listen", LOCAL, "--app", app]


# For each example: the command that starts it, a path, and a pattern for the start of the body.
RUNS: dict[str, tuple[list[str], str, bytes]] = {
    "stream_numbers.py": (
        served("stream_numbers:root"),
        "/",
        b"Message number 1<br>Message number 2<br>",
    ),
    "json_numbers.py": (
        served("json_numbers:root"),
        "/",
        b'{"number":1}\n{"number":2}\n',
    ),
    "sqlite_rows.py": (
        served("sqlite_rows:root"),
        "/",
        b'{"id": 1, "place": "roof", "celsius": 10.0}\n{"id": 2, ',
    ),
    "handler_app.py": (
        served("handler_app:hello"),
        "/",
        b"Hello, streaming world\n",
    ),
    "klein_app.py": (
        served("klein_app:root"),
        "/countdown/2",
        b"2\n1\nlift-off\n",
    ),
    "embedded.py": (
        [sys.executable, "embedded.py", LOCAL],
        "/ticks",
        rb"\d+\.\d\n\d+\.\d\n",
    ),
    "service.tac": (
        [TWISTD, "-n", "--pidfile=", "-y", "service.tac"],
        "/",
        b"0\n1\n2\n3\n4\n",
    ),
}

# Examples with several clients: commands in order, with their output. Ids are placeholders.
SESSIONS: dict[str, list[Command]] = {
    "events.py": [
        Command(
            "curl -N -H 'Last-Event-ID: 3' http://127.0.0.1:8080/",
            'retry: 1000\nevent: tick\nid: 2\ndata: {"left":2}\n\n',
        ),
        Command(
            "curl -N http://127.0.0.1:8080/",
            'retry: 1000\nevent: tick\nid: 9\ndata: {"left":9}\n\n',
        ),
        Command("curl -w '%{http_code}' http://127.0.0.1:8080/?last_event_id=0", "204"),
    ],
    "news.py": [
        Command(
            "curl -N http://127.0.0.1:8080/news",
            'event: story\nid: 9f1c0d5e7a3b2468-1\ndata: {"title":"Rain"}\n\n'
            'event: story\nid: 9f1c0d5e7a3b2468-2\ndata: {"title":"Sun"}\n\n',
        ),
        Command("curl -d Rain http://127.0.0.1:8080/publish", "9f1c0d5e7a3b2468-1"),
        Command("curl -d ' Sun ' http://127.0.0.1:8080/publish", "9f1c0d5e7a3b2468-2"),
        Command(
            "curl -N -H 'Last-Event-ID: 9f1c0d5e7a3b2468-1' http://127.0.0.1:8080/news",
            'event: story\nid: 9f1c0d5e7a3b2468-2\ndata: {"title":"Sun"}\n\n',
        ),
        Command(
            "curl -d ' ' http://127.0.0.1:8080/publish",
            "400 Bad Request\nA title must not be empty.",
        ),
        Command(
            f"curl -d {'x' * 1001} http://127.0.0.1:8080/publish",
            "400 Bad Request\nA title must not be longer than 1000 bytes.",
        ),
    ],
    "resumable_answer.py": [
        Command(
            "curl 'http://127.0.0.1:8080/answer?name=a'", "404 Not Found\nThere is no such answer."
        ),
        Command(
            "curl -d '' 'http://127.0.0.1:8080/stop?name=a'",
            "404 Not Found\nThere is no such answer.",
        ),
    ],
    "job_progress.py": [
        Command("curl -X DELETE http://127.0.0.1:8080/", "404 Not Found\nThe job does not run."),
        Command(
            "curl http://127.0.0.1:8080/",
            "".join(
                f'event: progress\nid: 9f1c0d5e7a3b2468-{n}\ndata: {{"step":{n},"of":5}}\n\n'
                for n in range(1, 6)
            )
            + 'event: end\nid: 9f1c0d5e7a3b2468-6\ndata: {"state":"done","result":{"files":5}}',
        ),
        Command(
            "curl -H 'Last-Event-ID: 9f1c0d5e7a3b2468-4' http://127.0.0.1:8080/",
            'event: progress\nid: 9f1c0d5e7a3b2468-5\ndata: {"step":5,"of":5}\n\n'
            'event: end\nid: 9f1c0d5e7a3b2468-6\ndata: {"state":"done","result":{"files":5}}',
        ),
        Command(
            "curl -w '%{http_code}' -H 'Last-Event-ID: 9f1c0d5e7a3b2468-6' http://127.0.0.1:8080/",
            "204",
        ),
        Command("curl -N http://127.0.0.1:8080/"),  # It starts the job again.
        Command("curl -X DELETE http://127.0.0.1:8080/", "stopped"),
    ],
    "klein_app.py": [
        Command(
            "curl http://127.0.0.1:8080/countdown/11",
            "404 Not Found\nThe countdown starts at ten.",
        ),
    ],
    "relay.py": [
        Command("curl -N http://127.0.0.1:8080/relay", "data: 1\n\ndata: 2\n\n"),
    ],
    "llm_proxy.py": [
        Command(
            "curl -N -d 'Once upon' http://127.0.0.1:8080/chat",
            'data: {"token":"Once"}\n\ndata: {"token":"upon"}\n\ndata: {"token":"Once"}\n\n',
        ),
        Command(
            "curl -d '' http://127.0.0.1:8080/chat",
            "400 Bad Request\nA prompt must not be empty.",
        ),
    ],
    "sqlite_rows.py": [
        Command(
            "curl -N http://127.0.0.1:8080/cellar",
            '{"id": 2, "place": "cellar", "celsius": 11.0}\n'
            '{"id": 5, "place": "cellar", "celsius": 14.0}\n',
        ),
        Command("curl http://127.0.0.1:8080/kitchen", "404 Not Found\nThere is no such place."),
    ],
    "json_lines_channel.py": [
        Command("curl -d 12.5 http://127.0.0.1:8080/cellar", '{"id":"9f1c0d5e7a3b2468-1"}'),
        Command("curl -d 21 http://127.0.0.1:8080/roof", '{"id":"9f1c0d5e7a3b2468-2"}'),
        Command("curl -d 13 http://127.0.0.1:8080/cellar", '{"id":"9f1c0d5e7a3b2468-3"}'),
        Command(
            "curl -N http://127.0.0.1:8080/?last_event_id=9f1c0d5e7a3b2468-1",
            '{"id":"9f1c0d5e7a3b2468-2","data":{"place":"roof","celsius":21.0}}\n'
            '{"id":"9f1c0d5e7a3b2468-3","data":{"place":"cellar","celsius":13.0}}\n'
            '{"id":"9f1c0d5e7a3b2468-4","data":{"place":"roof","celsius":22.0}}\n',
        ),
        Command(
            "curl -N http://127.0.0.1:8080/cellar?last_event_id=9f1c0d5e7a3b2468-1",
            '{"id":"9f1c0d5e7a3b2468-3","data":{"place":"cellar","celsius":13.0}}\n'
            '{"id":"9f1c0d5e7a3b2468-5","data":{"place":"cellar","celsius":14.0}}\n',
        ),
        Command("curl -d 22 http://127.0.0.1:8080/roof", '{"id":"9f1c0d5e7a3b2468-4"}'),
        Command("curl -d 14 http://127.0.0.1:8080/cellar", '{"id":"9f1c0d5e7a3b2468-5"}'),
        Command(
            "curl -d inf http://127.0.0.1:8080/roof",
            "400 Bad Request\nA temperature must be a number.",
        ),
    ],
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[list[str]], int]]:
    """
    Starts a program in a copy of the examples, and returns the port that it logs.
    """
    folder = shutil.copytree(EXAMPLES, tmp_path / "examples")
    output = tmp_path / "output.txt"
    started: list[subprocess.Popen[bytes]] = []

    def found() -> re.Match[str] | None:
        return re.search(r"127\.0\.0\.1:(\d+)|Site starting on (\d+)", output.read_text())

    def start(command: list[str]) -> int:
        with output.open("w") as file:
            started.append(
                subprocess.Popen(
                    command, cwd=folder, stdout=file, stderr=file, env={"LISTEN": LOCAL}
                )
            )
        until(lambda: found() or started[0].poll() is not None, "starts")
        match = found()
        assert match, output.read_text()
        return int(match[1] or match[2])

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)
    assert "Traceback" not in output.read_text()


@pytest.mark.parametrize("name", RUNS)
def test_an_example(name: str, start: Callable[[list[str]], int]) -> None:
    command, path, expected = RUNS[name]
    port = start(command)
    process = subprocess.Popen(
        [program("curl"), "--silent", "--no-buffer", f"http://127.0.0.1:{port}{path}"],
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    data = b""
    with process:
        while not re.match(expected, data):
            part = process.stdout.read(1000)
            assert part, data
            data += part
        process.kill()


@pytest.mark.parametrize("name", SESSIONS)
def test_an_example_with_several_clients(
    name: str, start: Callable[[list[str]], int], tmp_path: Path
) -> None:
    port = start(served(f"{Path(name).stem}:root"))
    run_curl(SESSIONS[name], port, tmp_path)


def test_the_example_of_a_client_resumes(start: Callable[[list[str]], int], tmp_path: Path) -> None:
    port = start(served("events:root"))
    program = [sys.executable, "follow_events.py", f"http://127.0.0.1:{port}/?last_event_id=3"]
    output = subprocess.check_output(program, cwd=tmp_path / "examples", timeout=LIMIT)
    assert output.decode().splitlines() == [
        *(f'{n} tick {{"left":{n}}}' for n in (2, 1, 0)),
        "the stream has ended",
    ]


def test_the_relay_of_values_relays(start: Callable[[list[str]], int], tmp_path: Path) -> None:
    source = start(served("json_numbers:root"))
    environment = {**os.environ, "SOURCE": f"http://127.0.0.1:{source}/"}
    output = tmp_path / "relay.txt"
    with output.open("w") as file:
        relay = subprocess.Popen(
            served("relay_values:root"),
            cwd=tmp_path / "examples",
            stdout=file,
            stderr=file,
            env=environment,
        )
    try:
        until(lambda: addresses(output.read_text()), "the relay starts")
        (url,) = addresses(output.read_text())
        read = subprocess.Popen(
            [program("curl"), "--silent", "--no-buffer", url], stdout=subprocess.PIPE, bufsize=0
        )
        assert read.stdout is not None
        with read:
            assert [read.stdout.readline() for _ in range(3)] == [
                b'{"square":1}\n',
                b'{"square":4}\n',
                b'{"square":9}\n',
            ]
            read.kill()
    finally:
        relay.terminate()
        relay.wait(LIMIT)
    assert "Traceback" not in output.read_text()


@ensureDeferred
async def test_the_page_of_the_news_shows_them(
    start: Callable[[list[str]], int], chromium: str
) -> None:
    url = f"http://127.0.0.1:{start(served('news:root'))}/"

    def shown() -> None:
        with launched(chromium) as browser:
            page = browser.new_page()
            page.goto(url)
            page.wait_for_function("() => source.readyState === EventSource.OPEN")
            page.evaluate("() => fetch('/publish', {method: 'POST', body: '<b>Rain</b>'})")
            page.get_by_role("listitem").get_by_text("<b>Rain</b>").wait_for()

    await deferToThread(shown)


def test_the_build_events_follow_the_topics_of_each_stream(
    start: Callable[[list[str]], int], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{start(served('build_events:root'))}"
    output = tmp_path / "events.txt"

    def curl(path: str, *options: str) -> str:
        command = [program("curl"), "-sS", *options, f"{url}/{path}"]
        return subprocess.check_output(command, timeout=LIMIT).decode()

    def report(result: str, topic: str) -> None:
        assert re.fullmatch(r"[0-9a-f]{16}-[0-9]+\n", curl(f"report/{topic}", "-d", result))

    with output.open("wb") as file:
        stream = subprocess.Popen(
            [program("curl"), "-sSN", f"{url}/events/builds/12/"], stdout=file, stderr=file
        )
    try:
        until(lambda: b"\n\n" in output.read_bytes(), "announces its subscription")
        [id_] = re.findall(r'event: subscription\ndata: {"id":"(.+)"}', output.read_text())
        report("12 passed", "builds/12/steps/1")
        report("13 failed", "builds/13/steps/1")
        assert curl(f"add/{id_}/builds/13/", "-X", "POST") == '["builds/12/#","builds/13/#"]'
        assert curl(f"add/{id_}/workers/*", "-X", "POST").startswith('["builds/12/#",')
        report("13 passed", "builds/13/steps/1")
        report("no one may see it", "workers/hidden")
        report("idle", "workers/1")
        assert curl(f"remove/{id_}/builds/12/", "-X", "POST") == '["builds/13/#","workers/*"]'
        report("12 failed", "builds/12")
        report("the end", "builds/13")
        until(lambda: b"the end" in output.read_bytes(), "has the last event")
        results = re.findall(r'"result":"([^"]+)"', output.read_text())
        assert results == ["12 passed", "13 passed", "idle", "the end"]
        for path, status in (
            ("add/unknown/builds/1/", "404"),
            (f"add/{id_}", "400"),
            (f"add/{id_}/a//b", "400"),
            ("report/a%2A", "400"),
        ):
            code = ("-o", str(tmp_path / "answer"), "-w", "%{http_code}")
            assert curl(path, "-X", "POST", *code) == status, path
        assert "patterns may have" in (tmp_path / "answer").read_text()
    finally:
        stream.kill()
        stream.wait()


@ensureDeferred
async def test_the_page_of_the_answer_continues_after_a_reload(
    start: Callable[[list[str]], int], chromium: str
) -> None:
    url = f"http://127.0.0.1:{start(served('resumable_answer:root'))}/"
    words = "You asked: Why? The run goes on without you, and its history has every word."

    def shown() -> None:
        expect.set_options(timeout=SECONDS * 1000)
        with launched(chromium) as browser:
            page = browser.new_page()
            page.goto(url)
            page.locator("#question").fill("Why?")
            page.get_by_text("Ask", exact=True).click()
            expect(page.locator("#answer")).to_contain_text("You asked: Why?")
            page.reload()
            expect(page.locator("#answer")).to_have_text(words)
            expect(page.locator("#state")).to_have_text("done, closed")
            page.get_by_text("Ask", exact=True).click()
            expect(page.locator("#answer")).to_contain_text("You asked:")
            page.get_by_text("Stop", exact=True).click()
            expect(page.locator("#state")).to_have_text("stopped, closed")
            expect(page.locator("#answer")).to_contain_text("[stopped]")

    await deferToThread(shown)


@ensureDeferred
async def test_the_page_of_the_relay_shows_what_it_relays(
    start: Callable[[list[str]], int], chromium: str
) -> None:
    url = f"http://127.0.0.1:{start(served('relay:root'))}/"

    def shown() -> None:
        with launched(chromium) as browser:
            page = browser.new_page()
            page.goto(url)
            page.get_by_role("listitem").get_by_text("2", exact=True).wait_for()

    await deferToThread(shown)


def test_the_model_stops_when_the_client_of_the_proxy_leaves(
    start: Callable[[list[str]], int], tmp_path: Path
) -> None:
    port = start(served("llm_proxy:root"))
    url = f"http://127.0.0.1:{port}/chat"
    command = [program("curl"), "--silent", "--no-buffer", "--data", "Once upon", url]
    log = tmp_path / "output.txt"
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as curl:
        assert curl.stdout is not None
        assert curl.stdout.read(10)
        assert "the model has stopped" not in log.read_text()
        curl.kill()
    until(lambda: "the model has stopped" in log.read_text(), "the model stops")


def test_each_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "build_events.py",
        "follow_events.py",
        "relay_values.py",
        *RUNS,
        *SESSIONS,
    }
