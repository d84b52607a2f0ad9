"""What scripts/bench and scripts/soak have in common: rows, their table, their file."""

import json
import os
import pathlib
import platform
import subprocess

target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))


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
    """Prints the table and writes target/KIND/summary.json. A missed bar is told, in the row and returned by name."""
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

    verdict = {True: "holds", False: "MISSED", None: "(informs)"}
    for row in rows:
        value, peer = f"{row['value']:.6g} {row['unit']}", f"{row['peer']} {row['peer_value']:.6g}"
        bar = row["bar"] or "-"
        print(f"{verdict[row['holds']]:9} {row['name']:62} {value:>18}  ratio {row['ratio']:<9.4g} {bar:18} {peer}")
    print(f"summary: {path}")
    return [row["name"] for row in rows if row["holds"] is False]
