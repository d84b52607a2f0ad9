"""What scripts/bench and scripts/soak have in common: rows, their table, their files, how far they are."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import stat
import subprocess
import sys
import threading
import time

target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
# Seconds that each part took, in this run.
took: dict[str, float] = {}


def history(kind: str) -> pathlib.Path:
    """One run a line, the newest last."""
    return target / kind / "history.jsonl"


def runs(kind: str) -> list[dict]:
    path = history(kind)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def part(kind: str, name: str):
    """Shows how far a part of a run is, by what it took the last time: a bar at a terminal, a line in a log, nothing in a pipe."""
    start, over = time.monotonic(), threading.Event()
    usual = next((run["took"][name] for run in reversed(runs(kind)) if name in run["took"]), None)
    expected = f", about {usual:.0f} s" if usual else ""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        bar = threading.Thread(target=draw, args=(name, start, usual, over))
        bar.start()
    elif stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode):
        print(f"{kind}: {name}{expected}", file=sys.stderr, flush=True)
        bar = None
    else:
        bar = None
    try:
        yield
    finally:
        over.set()
        if bar:
            bar.join()
    took[name] = time.monotonic() - start


def draw(name: str, start: float, usual: float | None, over: threading.Event) -> None:
    """A bar on standard error, until it is over; its line is clean then."""
    while not over.wait(1):
        elapsed = time.monotonic() - start
        done = min(elapsed / usual, 0.99) if usual else 0.0
        left = f"{done:4.0%} {max(usual - elapsed, 0):.0f} s left" if usual else f"{elapsed:.0f} s so far"
        sys.stderr.write(f"\r\x1b[2K{name} [{'=' * int(30 * done):30}] {left}")
        sys.stderr.flush()
    sys.stderr.write("\r\x1b[2K")
    sys.stderr.flush()


def output(*command: str) -> str:
    """What a command prints; empty where it fails, as git does outside a clone."""
    return subprocess.run(command, text=True, stdout=subprocess.PIPE).stdout.strip()


def count(name: str, unit: str, value: int, wanted: int, bar: str, holds: bool) -> dict:
    """A row for something that is counted."""
    return {
        "issue": 2, "name": name, "value": value, "unit": unit, "peer": "limit", "peer_value": wanted,
        "ratio": value / wanted if wanted else 0.0, "bar": bar, "holds": holds,
    }


def cpu() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def write(kind: str, rows: list[dict], **more) -> list[str]:
    """Prints the table, writes target/KIND/summary.json and adds the run to the history. A missed bar is told, in the row and
    returned by name."""
    summary = {
        "commit": output("git", "describe", "--always", "--dirty"),
        "rustc": output("rustc", "--version"),
        "machine": {"architecture": platform.machine(), "cpu": cpu(), "cores": os.cpu_count()},
        "rows": rows,
        **more,
    }
    path = target / kind / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    run = {"at": now, "commit": summary["commit"], "machine": summary["machine"], "took": took, "rows": rows}
    with history(kind).open("a") as file:
        file.write(json.dumps(run, ensure_ascii=False) + "\n")

    verdict = {True: "holds", False: "MISSED", None: "(informs)"}
    for row in rows:
        value, peer = f"{row['value']:.6g} {row['unit']}", f"{row['peer']} {row['peer_value']:.6g}"
        bar = row["bar"] or "-"
        print(f"{verdict[row['holds']]:9} {row['name']:62} {value:>18}  ratio {row['ratio']:<9.4g} {bar:18} {peer}")
    print(f"summary: {path}")
    return [row["name"] for row in rows if row["holds"] is False]
