"""
The wheel, in an environment that has nothing else.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_NETWORK = re.compile("No matching distribution|ConnectionError|NewConnectionError")


def pip(python: Path | str, *arguments: str) -> None:
    result = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=600,
    )
    if result.returncode and NO_NETWORK.search(result.stderr) and os.environ.get("CI") != "true":
        pytest.skip("needs a package index, to install the wheel with what it depends on")
    assert result.returncode == 0, result.stderr


def test_a_clean_environment_gets_the_command_and_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("twistream-*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "clean"], check=True, timeout=120)
    binaries = tmp_path / "clean" / "bin"
    pip(binaries / "python", "install", str(wheel))

    listed = subprocess.run(
        [binaries / "twistd", "--help"], capture_output=True, check=True, text=True, timeout=60
    )
    assert re.search(r"^ +twistream ", listed.stdout, re.MULTILINE)
    # All that the demo reads is there, and the types are for others to check against.
    code = (
        "import twistream, pathlib; from twistream.demo import make_root; make_root();"
        "assert pathlib.Path(twistream.__file__).with_name('py.typed').exists();"
        "print(twistream.__file__)"
    )
    imported = subprocess.run(
        [binaries / "python", "-c", code],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
        timeout=60,
    )
    assert str(tmp_path) in imported.stdout
    # Nothing of Twisted's own is overwritten: it has no such file, and must not get one.
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", wheel],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    ).stdout
    assert re.findall(r"^twisted/\S+", names, re.MULTILINE) == [
        "twisted/plugins/twistream_plugin.py"
    ]
