"""
The real ``twistd twistream``, run from the command line in another process.
"""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.net import LIMIT, pem
from tests.e2e.twistd import LOCAL, TWISTD, Running, addresses, until

APP = """
import json

from klein import Klein
from twisted.web.resource import Resource

class Page(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"a page"

async def handler(ctx):
    ctx.log.debug("a debug line")
    ctx.log.info("an info line")
    for part in ("one ", "two"):
        ctx.write(part)
        await ctx.flush()

def failing():
    return load()

def load():
    return json.loads("{")

number = 5
klein = Klein()

@klein.route("/", branch=True)
def home(request):
    return b"from Klein"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    A folder that contains an application.
    """
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "bad.py").write_text("import nowhere\n")
    (tmp_path / "torn.py").write_text('async def hello(ctx):\n    print("hello"\n')
    (tmp_path / "runs.py").write_text("from twisted.internet import reactor\nreactor.run()\n")
    (tmp_path / "called.py").write_text("async def hello(ctx): pass\nroot = hello(None)\n")
    return tmp_path


def get(url: str, path: str = "/") -> bytes:
    """
    The body that is served at a URL.
    """
    where = urlsplit(url)
    assert where.hostname is not None
    connection = HTTPConnection(where.hostname, where.port, timeout=LIMIT)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run twistd to its end.
    """
    return subprocess.run(
        [TWISTD, *arguments], cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Running]]:
    """
    Starts twistd in the foreground, on a free port by default.
    """
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        listen = () if "--listen" in arguments else ("--listen", LOCAL)
        started.append(Running(folder, *listen, *arguments))
        return started[-1]

    yield start
    for running in started:
        running.stop()
    for running in started:
        assert "Traceback" not in running.log


@pytest.fixture
def taken() -> Iterator[str]:
    """
    An endpoint with a port that is already in use.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"


def test_it_is_among_the_commands_of_twistd(folder: Path) -> None:
    assert re.search(r"^ +twistream +Stream HTTP", run(folder, "--help").stdout, re.MULTILINE)


def test_its_help_is_read_without_a_reactor(folder: Path) -> None:
    result = run(folder, "twistream", "--help")
    assert result.returncode == 0
    assert "Usage: twistd [options] twistream [options]" in result.stdout
    assert "twistd -n twistream --app app:root" in result.stdout


def test_importing_it_installs_no_reactor(folder: Path) -> None:
    code = "import sys, twistream.service; sys.exit('twisted.internet.reactor' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False, timeout=LIMIT)
    assert result.returncode == 0


def test_the_demo_is_served_by_default(serve: Callable[..., Running]) -> None:
    [url] = serve().urls()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/", url)
    assert b"<html" in get(url)


@pytest.mark.parametrize(
    ("app", "body"),
    [("app:handler", b"one two"), ("app:Page", b"a page"), ("app:klein", b"from Klein")],
)
def test_an_application_of_the_current_folder(
    serve: Callable[..., Running], app: str, body: bytes
) -> None:
    [url] = serve("--app", app).urls()
    assert get(url) == body


def test_several_addresses(serve: Callable[..., Running], folder: Path) -> None:
    running = serve(
        "--listen", LOCAL, "--listen", LOCAL, "--listen", "unix:sock", "--app", "app:Page"
    )
    first, second, _ = running.urls(3)
    assert first != second
    assert get(first) == get(second) == b"a page"
    assert "twistream: serving on the Unix socket sock\n" in running.log
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "sock"))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.0 200 OK")


def test_tls_speaks_http_2(serve: Callable[..., Running], folder: Path) -> None:
    key, certificate = pem()
    (folder / "both.pem").write_bytes(key + certificate)
    [url] = serve(
        "--listen", "ssl:0:interface=127.0.0.1:privateKey=both.pem", "--app", "app:Page"
    ).urls()
    assert url.startswith("https://127.0.0.1:")
    where = urlsplit(url)
    context = ssl.create_default_context(cadata=certificate.decode())
    connection = HTTPSConnection("127.0.0.1", where.port, context=context, timeout=LIMIT)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"a page"
    connection.close()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", where.port or 0), LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        assert client.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--listen", "8080"], r"--listen 8080: .* did you mean tcp:8080:interface=127.0.0.1\?"),
        (["--listen", "tcp:http"], r"--listen tcp:http: 'http' is not a number .*"),
        (["--listen", "systemd:INET:index=0"], ".*: the socket must be passed by systemd, .*"),
        (["--listen", "ssl:0:privateKey=no.pem"], r".*: .*/no\.pem: no such file or directory"),
        (["--listen", "unix:app.py"], "--listen unix:app.py: app.py exists and is not a socket"),
        (["--listen", "tcp:99999"], ".*: the port must be from 0 to 65535, not 99999"),
        (["--app", "nowhere:root"], "--app nowhere:root: no module nowhere in the current .*"),
        (["--app", "ap:handler"], r".*; did you mean app:handler\?"),
        (
            ["--app", "bad:root"],
            (
                ".* cannot import module bad: ModuleNotFoundError: No module named 'nowhere'\n"
                '  File "bad.py", line 1, in <module>\n    import nowhere\n'
                "  nowhere is not in the current folder, nor installed in /.*"
            ),
        ),
        (
            ["--app", "torn:root"],
            (
                r".* cannot import module torn: SyntaxError: '\(' was never closed\n"
                r'  File "torn.py", line 2\n    print\("hello"\n         \^'
            ),
        ),
        (["--app", "app:nothing"], "--app app:nothing: module app has no attribute nothing; .*"),
        (["--app", "app:handle"], r".* no attribute handle; did you mean app:handler\?"),
        (["--app", "app:number"], "--app app:number: an int cannot be served; .*"),
        (["--app", "called:root"], "--app called:root: a coroutine cannot be served; .*"),
        (
            ["--app", "app:failing"],
            (
                r".*: the factory raised JSONDecodeError: .*\n"
                r'  File "app.py", line \d+, in load\n    return json.loads\("{"\)'
            ),
        ),
        (
            ["--app", "runs:hello"],
            r"[\s\S]*: RuntimeError: twistd runs the reactor; put this [\s\S]*",
        ),
        (["--app", "app"], "--app must have the form .* not 'app'; did you mean app:Page, .*"),
        (["app.py"], "unexpected argument app.py; .*; did you mean app:Page, .*"),
        (["--access-log", "no/where.log"], "--access-log no/where.log: no such file or directory"),
        (["--lissten", "tcp:0"], "option --lissten not recognized; see twistd twistream --help"),
        (["-n"], "option -n not recognized; it is an option of twistd, so put it before twistream"),
    ],
)
@pytest.mark.parametrize("daemon", [False, True], ids=["foreground", "daemon"])
def test_a_wrong_option_is_a_short_message(
    folder: Path, arguments: list[str], line: str, daemon: bool
) -> None:
    before = {path.name for path in folder.iterdir()}
    result = run(folder, *([] if daemon else ["-n"]), "twistream", *arguments)
    assert re.fullmatch(f"twistream: {line}\n", result.stderr)
    assert (result.returncode, result.stdout) == (1, "")
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == before


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        (
            "tcp:0:interface=192.0.2.1",
            "cannot assign requested address; this machine does not have the address",
        ),
        ("unix:no/where", "no such file or directory"),
    ],
)
def test_an_address_that_cannot_be_listened_on(folder: Path, listen: str, reason: str) -> None:
    result = run(folder, "-n", "twistream", "--listen", listen)
    assert result.returncode == 1
    line = rf"twistream: cannot listen on {listen}: {reason} \(see --listen\)\n"
    assert len(re.findall(line, result.stdout)) == 1
    assert "Traceback" not in result.stdout + result.stderr


def test_a_port_in_use(folder: Path, taken: str) -> None:
    result = run(folder, "-n", "twistream", "--listen", LOCAL, "--listen", taken)
    assert result.returncode == 1
    *_, line = result.stdout.splitlines()
    assert line.endswith(
        f"twistream: cannot listen on {taken}: address already in use (see --listen)"
    )
    assert addresses(result.stdout) == []
    assert "Traceback" not in result.stdout
    assert result.stderr == ""
    assert not (folder / "twistd.pid").exists()


def test_a_daemon_that_cannot_start_reports_it_and_its_parent_exits(
    folder: Path, taken: str
) -> None:
    result = run(folder, "twistream", "--listen", LOCAL, "--listen", taken)
    line = f"twistream: cannot listen on {taken}: address already in use (see --listen)"
    assert result.returncode == 1
    assert line in result.stderr
    # The parent exits when it is notified, and the daemon a little later.
    until(lambda: not (folder / "twistd.pid").exists(), "the pid file is removed")
    log = (folder / "twistd.log").read_text()
    assert log.count("cannot listen") == 1
    assert log.endswith(f"{line}\n")
    assert "Traceback" not in log


def test_a_daemon(folder: Path) -> None:
    started = run(
        folder,
        *("--pidfile", "app.pid", "--logfile", "app.log"),
        *("twistream", "--listen", LOCAL, "--app", "app:handler", "--access-log", "access.log"),
    )
    log, pidfile = folder / "app.log", folder / "app.pid"
    try:
        assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
        [url] = addresses(log.read_text())
        assert get(url) == b"one two"
        until((folder / "access.log").read_text, "a request is logged")
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
        until(lambda: not pidfile.exists(), "the daemon ends")
        assert "Traceback" not in log.read_text()
    finally:
        with suppress(OSError):
            os.kill(int(pidfile.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("flags", [(), ("--verbose",)], ids=["quiet", "verbose"])
def test_debug_messages_are_logged_only_with_verbose(
    serve: Callable[..., Running], flags: tuple[str, ...]
) -> None:
    running = serve("--app", "app:handler", *flags)
    [url] = running.urls()
    get(url)
    until(lambda: "an info line" in running.log, "the request is logged")
    assert ("a debug line" in running.log) == bool(flags)


def test_requests_are_logged_to_the_access_log_only(
    serve: Callable[..., Running], folder: Path
) -> None:
    running = serve("--app", "app:Page", "--access-log", "access.log")
    [url] = running.urls()
    get(url, "/some/path")
    access_log = folder / "access.log"
    until(access_log.read_text, "the request is logged")
    assert re.fullmatch(
        r'"127\.0\.0\.1" - - \[.*\] "GET /some/path HTTP/1.1" 200 6 "-" "-"\n',
        access_log.read_text(),
    )
    running.stop()
    assert "/some/path" not in running.log


def test_without_an_access_log_requests_are_not_logged(
    serve: Callable[..., Running], folder: Path
) -> None:
    running = serve("--app", "app:Page")
    [url] = running.urls()
    get(url, "/some/path")
    running.stop()
    assert "/some/path" not in running.log


def test_zsh_completes_its_options(folder: Path) -> None:
    """
    Run the command that zsh's completion function runs.
    """
    result = run(folder, "-n", "twistream", "--access-log", "", "--_shell-completion", "zsh:5")
    assert result.returncode == 0
    assert re.search(
        r"^'--access-log=\[.*\]:.*:_files -g \"\*\.log\"' ", result.stdout, re.MULTILINE
    )
    assert "\n'*--listen=[" in result.stdout
    commands = run(folder, "twi", "--_shell-completion", "zsh:2").stdout
    assert '"twistream:Stream HTTP' in commands
