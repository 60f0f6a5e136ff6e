"""
Run the tests on every supported Twisted and on every supported Python that this machine has.

The arguments choose some of them: oldest (the oldest Twisted), or versions such as 25.5.0 3.12.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DEFAULT = "{}.{}".format(*sys.version_info)
OLD_TLS = ["pyopenssl<26.2"]  # Before Twisted 26.4, its TLS servers fail with pyOpenSSL 26.2.
TWISTED = {"24.11.0": OLD_TLS, "25.5.0": OLD_TLS, "26.4.0": [], "26.10.0": []}
OLDEST, *_, NEWEST = TWISTED


def find_python(version: str) -> str | None:
    """
    Return the first program that starts as this Python and can create environments.
    """
    name = f"python{version}"
    found = [sys.executable, *(f"{folder}/{name}" for folder in os.get_exec_path())]
    found += map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    show = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info))"
    for program in filter(os.path.exists, found):
        shown = subprocess.run([program, "-c", show], capture_output=True, check=False, text=True)
        if shown.stdout.strip() == version:
            return program
    return None


def create_environment(program: str, python: str, twisted: str) -> str:
    """
    Create the environment of a combination, or reuse it, and return its Python.
    """
    folder = ROOT / ".venvs" / f"python{python}-twisted{twisted}"
    own, stamp = str(folder / "bin" / "python"), folder / "installed"
    wanted = [f"twisted=={twisted}", *TWISTED[twisted], "--editable", ".[test]"]
    state = f"{program} {wanted}\n{(ROOT / 'pyproject.toml').read_text()}"
    if not stamp.exists() or stamp.read_text() != state:
        subprocess.run([program, "-m", "venv", "--clear", folder], check=True)
        pip = [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run(pip + wanted, check=True, cwd=ROOT)
        stamp.write_text(state)
    show = "import sys, twisted; print('{}.{}'.format(*sys.version_info), twisted.__version__)"
    imported = subprocess.check_output([own, "-c", show], cwd=ROOT, text=True).split()
    if imported != [python, twisted]:
        sys.exit(f"{own} imports {imported} instead of {[python, twisted]}")
    return own


def run_tests(command: list[str]) -> Counter[str]:
    """
    Run pytest, show its output, and return the counts of its summary.
    """
    last = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as pytest:
        for last in pytest.stdout or ():
            print(last, end="", flush=True)
    counts = Counter({word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", last)})
    counts["failed"] += counts["error"] + counts["errors"]
    # A run that crashes or finds no tests is a failure without a count.
    return counts if counts["failed"] or not pytest.returncode else counts + Counter(failed=1)


def main(chosen: list[str]) -> int:
    """
    Run the chosen combinations, print a table, and return the exit status.
    """
    began, total = time.monotonic(), Counter[str]()
    table = ["Python  Twisted  passed  failed  skipped  tests"]
    chosen = [OLDEST if name == "oldest" else name for name in chosen]
    if unknown := set(chosen) - {*TWISTED, *PYTHONS}:
        sys.exit(f"unknown: {', '.join(unknown)}\n{__doc__}")
    for python in [name for name in PYTHONS if name in chosen] or PYTHONS:
        program = find_python(python)
        for twisted in [name for name in TWISTED if name in chosen] or TWISTED:
            row = f"{python:6}  {twisted:7}"
            if program is None:
                table.append(f"{row}  not run: this machine has no such Python")
                continue
            print(f"\n== Python {python}, Twisted {twisted}", flush=True)
            everything = python == DEFAULT and twisted in (OLDEST, NEWEST)
            command = [create_environment(program, python, twisted), "-m", "pytest", "--quiet"]
            total += (counts := run_tests(command + ["--ignore=tests/e2e"] * (not everything)))
            row += "".join(f"  {counts[word]:6}" for word in ("passed", "failed", "skipped"))
            table.append(f"{row}   {'all' if everything else 'without sockets'}")
    print("", *table, "", sep="\n")
    print(f"{total['passed']} passed, {total['failed']} failed in {time.monotonic() - began:.2f}s")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
