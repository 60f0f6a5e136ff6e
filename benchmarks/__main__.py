"""
The command line of the benchmarks: ``python -m benchmarks``.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import evolve

from benchmarks.plots import draw
from benchmarks.report import OURS, as_rst, comparison
from benchmarks.results import Results
from benchmarks.run import measure, tell
from benchmarks.scenarios import QUICK, SCENARIOS, Settings
from benchmarks.servers import BUILD, ROOT, SERVERS

_DESCRIPTION: Final = """\
Measures how fast twistream streams, compared with other servers, and writes tables and plots.
Linux only. The figures need two cores with nothing else to do, and an optimised build of Python.
A full run takes about 50 minutes. --quick tries out everything in about a minute; its figures
mean nothing.

--against compares the twistream package of this checkout with that of another one. The servers of
both take turns, and the ratios are printed. Change neither of them during the run:

  python -m benchmarks --only forms --against ../other-checkout
"""

_FOLDER: Final = ROOT / "docs" / "benchmarks"
_THERE: Final = "against"  # the name of the server from the other checkout


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:<12} {about.words}" for name, about in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        epilog=(
            f"scenarios:\n{scenarios}\n\nservers:\n  {', '.join(SERVERS)}\n\n"
            "exit status: 0 if every figure was measured, 1 if not, 2 for a wrong option"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, rounds = parser.add_argument, Settings().rounds
    add("--rounds", type=int, metavar="N", help=f"rounds of all servers [{rounds}]")
    add("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help="only these scenarios")
    add("--servers", nargs="+", choices=SERVERS, metavar="NAME", help="only these servers")
    add("--against", type=Path, metavar="PATH", help="compare with twistream in another checkout")
    add("--quick", action="store_true", help="one short round, to try out everything")
    add("--report", type=Path, metavar="FILE", help="only write tables and plots of this JSON file")
    folders = f"{_FOLDER.relative_to(ROOT)}; with --quick or --against {BUILD.relative_to(ROOT)}"
    add("--out", type=Path, metavar="DIR", help=f"the folder to write to [{folders}]")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line, or other arguments, and return the exit status.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    folder = options.out or (BUILD if options.quick or options.against else _FOLDER)
    if options.report:
        _write(Results.load(options.report), options.out or options.report.parent)
        return 0
    servers = [SERVERS[name] for name in options.servers or SERVERS]
    if options.against:
        if not (options.against / "twistream" / "__init__.py").is_file():
            parser.error(f"argument --against: {options.against} has no package twistream")
        ours, there = SERVERS[OURS], options.against.resolve()
        servers = [evolve(ours, name=_THERE, title=f"against {there}", checkout=there), ours]
    settings = QUICK if options.quick else Settings()
    settings = evolve(settings, rounds=options.rounds or settings.rounds)
    results = measure(servers, options.only or SCENARIOS, settings)
    _write(results, folder)
    return int(bool(results.errors))


def _write(results: Results, folder: Path) -> None:
    for warning in results.cautions + results.errors:
        tell(f"warning: {warning}")
    results.save(folder / "results.json")
    if _THERE in results.servers:
        sys.stdout.write(f"{comparison(results, OURS, _THERE)}\n")
        return
    rst = as_rst(results, draw(results, folder))
    (folder / "results.rst").write_text(rst, encoding="utf-8")
    tell(f"written: {folder / 'results.rst'}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop servers, keep figures
    sys.exit(main())
