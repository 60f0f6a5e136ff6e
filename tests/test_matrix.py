"""
`make matrix` runs the versions that the package declares, and counts only what has run.
"""

import sys
import tomllib
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from scripts import matrix

PROJECT = tomllib.loads((matrix.ROOT / "pyproject.toml").read_text())["project"]


class VersionTests(SynchronousTestCase):
    """
    The lists of versions, and what pyproject.toml says.
    """

    def test_the_oldest_twisted_is_the_required_one(self) -> None:
        (requirement,) = [line for line in PROJECT["dependencies"] if line.startswith("twisted")]
        self.assertEqual(f"{requirement.partition('>=')[2]}.0", matrix.OLDEST)

    def test_every_python_of_the_classifiers_is_run(self) -> None:
        prefix = "Programming Language :: Python :: 3."
        declared = {f"3.{line[len(prefix) :]}" for line in PROJECT["classifiers"] if prefix in line}
        self.assertEqual(declared - set(matrix.PYTHONS), set())
        self.assertEqual(PROJECT["requires-python"], f">={matrix.PYTHONS[0]}")

    def test_this_python_is_found_and_an_unknown_one_is_not(self) -> None:
        self.assertEqual(matrix.find_python(matrix.DEFAULT), sys.executable)
        self.assertIsNone(matrix.find_python("3.0"))


class RunTests(SynchronousTestCase):
    """
    The counts of a run, and the exit status.
    """

    def run_tests(self, code: str) -> Counter[str]:
        with redirect_stdout(StringIO()):
            return matrix.run_tests([sys.executable, "-c", code])

    def main(self, *chosen: str) -> tuple[int, str]:
        output = StringIO()
        with redirect_stdout(output):
            status = matrix.main(list(chosen))
        return status, output.getvalue()

    def test_the_summary_is_counted(self) -> None:
        counts = self.run_tests("print('1 failed, 20 passed, 3 skipped, 2 errors in 4.56s')")
        self.assertEqual([counts[word] for word in ("passed", "failed", "skipped")], [20, 3, 3])

    def test_a_run_that_fails_without_a_count_is_one_failure(self) -> None:
        self.assertEqual(self.run_tests("raise SystemExit(2)"), {"failed": 1})
        counts = self.run_tests("print('5 passed in 1.00s'); raise SystemExit(1)")
        self.assertEqual((counts["passed"], counts["failed"]), (5, 1))

    def test_a_python_that_is_missing_is_named_and_passes_nothing(self) -> None:
        self.patch(matrix, "find_python", lambda version: None)
        status, output = self.main("oldest", "3.12")
        self.assertEqual(status, 1)
        self.assertRegex(output, f"3.12 +{matrix.OLDEST} +not run")
        self.assertRegex(output, r"\n0 passed, 0 failed in \d")

    def test_one_failure_fails_it_and_the_end_to_end_tests_run_twice(self) -> None:
        commands: list[list[str]] = []

        def run_tests(command: list[str]) -> Counter[str]:
            commands.append(command)
            return Counter(passed=7, failed=len(commands) == 2)

        self.patch(matrix, "find_python", lambda version: version)
        self.patch(matrix, "create_environment", lambda *names: " ".join(names))
        self.patch(matrix, "run_tests", run_tests)
        status, output = self.main()
        self.assertEqual(status, 1)
        self.assertEqual(len(commands), len(matrix.PYTHONS) * len(matrix.TWISTED))
        full = [
            command[0].split()[1:] for command in commands if "--ignore=tests/e2e" not in command
        ]
        python = matrix.DEFAULT
        self.assertEqual(full, [[python, matrix.OLDEST], [python, matrix.NEWEST]])
        self.assertRegex(output, rf"\n{7 * len(commands)} passed, 1 failed in \d")

    def test_an_unknown_name_is_refused(self) -> None:
        error = self.assertRaises(SystemExit, self.main, "1.0")
        self.assertIn("unknown: 1.0", str(error.code))
