"""
The command line of the benchmarks: ``python -m benchmarks``.
"""

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.errors import NotMeasuredError
from benchmarks.report import as_rst, warnings
from benchmarks.results import Results
from benchmarks.run import Run, tell
from benchmarks.scenarios import SCENARIOS, Settings
from benchmarks.servers import ROOT, SERVERS, Server

_DESCRIPTION = """\
Measures how fast twistream streams, beside the servers that its users would take otherwise,
and writes tables and plots. Linux only; two cores that are idle otherwise are needed for
figures that mean something. A full run takes about 35 minutes, seven for each round (--rounds 3:
21 minutes); --quick takes one minute and measures nothing of use.
"""

_FOLDER = ROOT / "docs" / "benchmarks"
_QUICK_FOLDER = ROOT / "build" / "benchmarks" / "quick"


def _parser(servers: Mapping[str, Server]) -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:<18} {words}" for name, words in SCENARIOS.items())
    titles = "\n".join(f"  {name:<18} {server.title}" for name, server in servers.items())
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        epilog=(
            f"scenarios:\n{scenarios}\n\nservers:\n{titles}\n\n"
            "exit status: 0 if every figure was measured, 1 if not, 2 for a wrong option"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=_whole, metavar="N", help=f"turns of each server [{default.rounds}]"
    )
    parser.add_argument(
        "--duration",
        type=_seconds,
        metavar="SECONDS",
        help=f"of each measurement [{default.duration:g}]",
    )
    parser.add_argument(
        "--sizes",
        type=_sizes,
        metavar="N,N,...",
        help=f"numbers of subscribers [{','.join(map(str, default.sizes))}]",
    )
    parser.add_argument("--only", metavar="NAME,...", help="these scenarios only; see below")
    parser.add_argument("--servers", metavar="NAME,...", help="these servers only; see below")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where results.json, results.rst and the plots go "
        f"[{_FOLDER.relative_to(ROOT)}, or {_QUICK_FOLDER.relative_to(ROOT)} with --quick]",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, and little of everything: to try it out"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="measure nothing, and make tables and plots of this results.json again, "
        "in its folder if there is no --out",
    )
    return parser


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"{text} is less than 1"
        raise argparse.ArgumentTypeError(msg)
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0.05 <= number <= 600:
        msg = f"{text} is not between 0.05 and 600"
        raise argparse.ArgumentTypeError(msg)
    return number


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({_whole(part) for part in text.split(",")}))


def _chosen(
    parser: argparse.ArgumentParser, option: str, text: str | None, known: Mapping[str, Any]
) -> list[str]:
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            parser.error(f"argument {option}: there is no {name!r}; choose from {', '.join(known)}")
    return [name for name in known if name in names]


def main(arguments: Sequence[str] | None = None, servers: Mapping[str, Server] = SERVERS) -> int:
    """
    Do what the command line says.

    Args:
        arguments: In the place of those of the process.
        servers: Which servers there are, by name.

    Returns:
        The exit status.
    """
    parser = _parser(servers)
    options = parser.parse_args(arguments)
    only = _chosen(parser, "--only", options.only, SCENARIOS)
    names = _chosen(parser, "--servers", options.servers, servers)
    if options.report is not None:
        try:
            results = Results.load(options.report)
        except (OSError, ValueError) as err:
            parser.error(f"argument --report: {options.report}: {err}")
        _write(results, options.out or options.report.parent)
        return 0

    settings = Settings.quick() if options.quick else Settings()
    given = {
        name: value
        for name in ("rounds", "duration", "sizes")
        if (value := getattr(options, name)) is not None
    }
    folder = options.out or (_QUICK_FOLDER if options.quick else _FOLDER)
    run = Run(
        [servers[name] for name in names],
        only,
        replace(settings, **given),
        folder / "results.json",
    )
    interrupted = False
    try:
        run.measure()
    except NotMeasuredError as err:
        parser.exit(1, f"{parser.prog}: {err}\n")
    except KeyboardInterrupt:
        tell("interrupted; what there is so far is kept")
        interrupted = True
    _write(run.results, folder)
    if interrupted:
        return 128 + signal.SIGINT
    asked_for = options.servers is not None
    return 1 if run.results.errors() or (asked_for and run.results.left_out) else 0


def _write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / "results.json")
    try:
        from benchmarks.plots import draw  # noqa: PLC0415 - tables can be made without matplotlib
    except ImportError:
        tell("warning: there are no plots, because matplotlib is not installed")
        plots: list[tuple[str, str]] = []
    else:
        plots = draw(results, folder)
    (folder / "results.rst").write_text(as_rst(results, plots), encoding="utf-8")
    for warning in warnings(results):
        tell(f"warning: {warning}")
    tell(f"written: {folder / 'results.rst'}")


def _end(_number: int, _frame: object) -> None:
    # As Ctrl-C, so that no server is left behind and results are kept.
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
