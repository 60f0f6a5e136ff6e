"""
The command line of ``twistd twistream``.
"""

import sys
from contextlib import chdir
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.testing import MemoryReactorClock
from twisted.python._shellcomp import shellComplete
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource

from twistream import StreamResource
from twistream.service import Options


def handler(ctx: object) -> str:
    return "hello"


HELP = "; see twistd twistream --help"
PLACE = "; it is an option of twistd, so put it before twistream"
ADDRESS = "; use --listen, as in --listen tcp:8080:interface=127.0.0.1"
FORM = "--app must have the form package.module:name, such as app:root"
APP = f"{__name__}:handler"


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.patch(sys, "path", [*sys.path])

    def parse(self, *arguments: str) -> Options:
        options = Options(MemoryReactorClock())
        options.parseOptions(arguments)
        return options

    def error(self, *arguments: str) -> object:
        return self.assertRaises(SystemExit, self.parse, *arguments).code

    def test_the_default_serves_the_demo_to_this_machine(self) -> None:
        options = self.parse()
        self.assertEqual([a.text for a in options.addresses], ["tcp:8080:interface=127.0.0.1"])
        self.assertTrue(IResource.providedBy(options.root))
        self.assertIsNone(options.access_log)
        self.assertFalse(options["verbose"])

    def test_all_options_together(self) -> None:
        log = str(self.folder / "access.log")
        options = self.parse(
            *("--listen", "tcp:80", "--listen=unix:/run/x", "--app", APP),
            *("--access-log", log, "--verbose"),
        )
        self.assertEqual([a.text for a in options.addresses], ["tcp:80", "unix:/run/x"])
        self.assertIsInstance(options.root, StreamResource)
        assert options.access_log is not None
        self.assertEqual(options.access_log.path, log)
        options.access_log.close()
        self.assertTrue(options["verbose"])

    def test_each_command_line_has_its_own_addresses(self) -> None:
        self.parse("--listen", "tcp:80", "--app", APP)
        options = self.parse("--listen", "tcp:81", "--app", APP)
        self.assertEqual([a.text for a in options.addresses], ["tcp:81"])

    def test_a_wrong_option_is_one_line_that_names_it_with_status_1(self) -> None:
        # Python prints the code of a SystemExit and exits with 1 if it is a str.
        for arguments, message in (
            (("--lissten", "tcp:80"), f"option --lissten not recognized{HELP}"),
            (("--listen",), f"option --listen requires argument{HELP}"),
            (("app:a",), "unexpected argument app:a; to serve it, use --app app:a"),
            (("nowhere",), "unexpected argument nowhere; use --app package.module:name"),
            (("-n",), f"option -n not recognized{PLACE}"),
            (("--pidfile=a.pid",), f"option --pidfile not recognized{PLACE}"),
            (("-h",), f"option -h not recognized{HELP}"),
            (("--port", "80"), f"option --port not recognized{ADDRESS}"),
            (("-p", "80"), f"option -p not recognized{ADDRESS}"),
            (
                ("--certfile", "c"),
                (
                    "option --certfile not recognized; use --listen, as in --listen "
                    "ssl:8443:privateKey=key.pem:certKey=cert.pem"
                ),
            ),
            (
                ("--uds", "x"),
                "option --uds not recognized; use --listen, as in --listen unix:/run/app.sock",
            ),
            (("--access-log=",), "--access-log must name a file"),
            (("--verbose=1",), f"option --verbose must not have an argument{HELP}"),
            (("--app", "app"), f"{FORM}, not 'app'"),
            (
                ("--listen", "80"),
                "--listen 80: unknown endpoint type '80'; did you mean tcp:80:interface=127.0.0.1?",
            ),
            (
                ("--app", APP, "--access-log", str(self.folder)),
                f"--access-log {self.folder}: is a directory",
            ),
            (
                ("--app", APP, "--access-log", "/nowhere/a.log"),
                "--access-log /nowhere/a.log: no such file or directory",
            ),
        ):
            self.assertEqual(self.error(*arguments), f"twistream: {message}")

    def test_an_argument_that_should_be_an_option(self) -> None:
        (self.folder / "shop.py").write_text("def hello(ctx): pass")
        self.addCleanup(sys.modules.pop, "shop", None)
        with chdir(self.folder):
            for argument in ("shop", "shop.py", "hello", "./shop.py"):
                self.assertEqual(
                    self.error(argument),
                    f"twistream: unexpected argument {argument}; use --app package.module:name; "
                    "did you mean shop:hello?",
                )

    def test_a_wrong_option_creates_no_file(self) -> None:
        log = self.folder / "access.log"
        self.error("--access-log", str(log), "--app", "nowhere:app")
        self.assertFalse(log.exists())

    def test_a_relative_access_log_is_in_the_folder_of_the_command(self) -> None:
        options = Options(MemoryReactorClock())
        with chdir(self.folder):
            options.parseOptions(["--app", APP, "--access-log", "a.log"])
        assert options.access_log is not None
        options.access_log.close()
        self.assertEqual(options.access_log.path, str(self.folder / "a.log"))

    def test_the_help_explains_by_examples(self) -> None:
        text = Options().getUsage(80)
        for part in (
            "the demo of twistream",
            "async def hello(ctx)",
            "app = Klein()",
            "--listen=",
            "[default: tcp:8080:interface=127.0.0.1]",
            "\n  twistd -n twistream --app app:root\n",
        ):
            self.assertIn(part, " ".join(text.split()) if part.startswith("[") else text)
        self.assertLess(max(map(len, text.splitlines())), 100)

    def test_the_version_is_ours(self) -> None:
        output = StringIO()
        self.patch(sys, "stdout", output)
        code = self.error("--version")
        self.assertEqual(code, 0)
        self.assertRegex(output.getvalue(), r"^twistream \S+ \(Twisted \S+, Python \S+\)\n$")

    def test_zsh_completes_options_and_files(self) -> None:
        output = BytesIO()
        shellComplete(Options(), "twistd", ["", "--_shell-completion", "zsh:2"], output)
        script = output.getvalue().decode()
        # The star allows the option to be repeated.
        self.assertIn("'*--listen=[address to listen on]:endpoint:'", script)
        self.assertIn("'--app=[application to serve]:package.module\\:name:'", script)
        self.assertRegex(
            script, r"""'--access-log=\[.*\]:access log \(\*\.log\):_files -g "\*\.log"'"""
        )
        self.assertIn("--verbose[", script)
