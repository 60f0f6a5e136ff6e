"""
The command line of the benchmarks: ``python -m benchmarks``.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.checkouts import HERE, THERE, checkouts
from benchmarks.machine import NotMeasuredError
from benchmarks.picture import picture
from benchmarks.plots import draw
from benchmarks.report import as_rst, comparison, warnings
from benchmarks.results import Results
from benchmarks.run import Run, tell
from benchmarks.scenarios import QUICK, SCENARIOS, Settings
from benchmarks.servers import BUILD, ROOT, SERVERS

_DESCRIPTION: Final = """\
Measures how fast twistream streams, compared with other servers, and writes tables and plots.
Linux only. The figures need two cores with nothing else to do, and an optimised build of Python.
A full run takes about 35 minutes, 7 for each round. --quick tries out everything in about a
minute; its figures mean nothing.

--against compares the twistream package of this checkout with that of another one. The servers of
both take turns, and the ratios are printed:

  python -m benchmarks --only forms --against ../other-checkout
"""

_FOLDER: Final = ROOT / "docs" / "benchmarks"


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:<18} {words}" for name, words in SCENARIOS.items())
    servers = "\n".join(f"  {name:<18} {server.title}" for name, server in SERVERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        epilog=(
            f"scenarios:\n{scenarios}\n\nservers:\n{servers}\n\n"
            "exit status: 0 if every figure was measured, 1 if not, 2 for a wrong option"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default, add = Settings(), parser.add_argument
    sizes = ",".join(map(str, default.sizes))
    add("--rounds", type=_rounds, metavar="N", help=f"rounds of all servers [{default.rounds}]")
    add("--duration", type=float, metavar="S", help=f"of each measurement [{default.duration:g}]")
    add("--sizes", type=_sizes, metavar="N,...", help=f"numbers of subscribers [{sizes}]")
    add("--only", type=_names(SCENARIOS), metavar="NAME,...", help="only these scenarios")
    add("--servers", type=_names(SERVERS), metavar="NAME,...", help="only these servers")
    add("--against", type=Path, metavar="PATH", help="compare with twistream in another checkout")
    add("--quick", action="store_true", help="one short round, to try out everything")
    add("--report", type=Path, metavar="FILE", help="only write tables and plots of this JSON file")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"the folder to write to [{_FOLDER.relative_to(ROOT)}; with --quick or --against "
        f"below {BUILD.relative_to(ROOT)}]",
    )
    return parser


def _rounds(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"{text} is less than 1"
        raise argparse.ArgumentTypeError(msg)
    return number


def _sizes(text: str) -> tuple[int, ...]:
    sizes = sorted({int(part) for part in text.split(",")})
    if sizes[0] < 2:
        msg = f"{sizes[0]} is less than 2"
        raise argparse.ArgumentTypeError(msg)
    return tuple(sizes)


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",")]
        for name in found:
            if name not in known:
                msg = f"unknown name {name!r}; choose from {', '.join(known)}"
                raise argparse.ArgumentTypeError(msg)
        return found

    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line, and return the exit status.

    Args:
        arguments: Arguments to use instead of those of the process.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.report:
        try:
            results = Results.load(options.report)
        except (OSError, ValueError) as err:
            parser.error(f"argument --report: {err}")
        _write(results, options.out or options.report.parent)
        return 0
    if options.against and options.servers:
        parser.error("argument --servers: not allowed with argument --against")
    settings = QUICK if options.quick else Settings()
    given = {
        name: value
        for name in ("rounds", "duration", "sizes")
        if (value := getattr(options, name)) is not None
    }
    default = (
        BUILD / "against" if options.against else BUILD / "quick" if options.quick else _FOLDER
    )
    folder = options.out or default
    with tempfile.TemporaryDirectory(prefix="twistream-bench-") as temporary:
        servers = [SERVERS[name] for name in options.servers or SERVERS]
        if options.against:
            try:
                servers = checkouts(options.against, Path(temporary))
            except NotMeasuredError as err:
                parser.error(f"argument --against: {err}")
        only = options.only or SCENARIOS
        run = Run(servers, only, replace(settings, **given), folder / "results.json")
        status = _run(run, folder)
    left_out = run.results.left_out if options.servers else {}
    return status or int(bool(run.results.errors() or left_out))


def _run(run: Run, folder: Path) -> int:
    status = 0
    try:
        run.measure()
    except NotMeasuredError as err:
        tell(f"error: {err}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted; the figures so far are kept")
        status = 128 + signal.SIGINT
    _write(run.results, folder)
    return status


def _write(results: Results, folder: Path) -> None:
    for warning in warnings(results):
        tell(f"warning: {warning}")
    results.save(folder / "results.json")
    if THERE in results.servers:
        sys.stdout.write(f"{comparison(results, HERE, THERE)}\n")
        return
    plots = draw(results, folder)
    with suppress(ValueError):  # it needs figures that this run may not have
        (folder / "picture.svg").write_text(picture(results), encoding="utf-8")
    (folder / "results.rst").write_text(as_rst(results, plots), encoding="utf-8")
    tell(f"written: {folder / 'results.rst'}")


def _end(_number: int, _frame: object) -> None:
    # Like Ctrl-C, so that servers are stopped and figures are kept.
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
