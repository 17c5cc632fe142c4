"""`python -m bench`: measure, print the table, write the JSON."""

from __future__ import annotations

import contextlib
import gc
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from bench import (
    busy,
    claims,
    decision,
    eye,
    frames,
    ingest,
    machine,
    memory,
    outages,
    reading,
    snapshots,
    start,
)
from bench.bed import GATE_ID
from bench.context import Context
from bench.figures import Row
from bench.report import document, markdown, show
from gate.common.log import configure

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS: dict[str, Callable[[Context], Iterable[Row]]] = {
    "decision": decision.rows,
    "busy": busy.rows,
    "outages": outages.rows,
    "frames": frames.rows,
    "start": start.rows,
    "reading": reading.rows,
    "eye": eye.rows,
    "memory": memory.rows,
    "ingest": ingest.rows,
    "claims": claims.rows,
    "snapshots": snapshots.rows,
}


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(SUBJECTS)}; repeat for more.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = ROOT / "var" / "bench.json",
    folder: Annotated[
        Path, typer.Option(help="Folder for the run's files, emptied first; on a real disk.")
    ] = ROOT / "var" / "bench",
    data: Annotated[Path, typer.Option(help="Folder of the test pictures.")] = ROOT.parent
    / "shared"
    / "data",
    share: Annotated[float, typer.Option(min=0.01, help="Fraction of the usual number of rounds.")] = 1.0,
) -> None:
    """Measure door and hub against their floors (docs/performance.md); writes JSON and a Markdown table."""
    wanted = only or list(SUBJECTS)
    unknown = [name for name in wanted if name not in SUBJECTS]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: unknown. Choose from {', '.join(SUBJECTS)}.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if machine.is_in_memory(folder):
        raise typer.BadParameter(
            f"{folder} is in memory, where a commit costs nothing. Give --folder on a disk."
        )
    facts = machine.facts(folder)
    context = Context(folder=folder, data=data, share=share)
    with (folder / "door.log").open("w") as log, contextlib.redirect_stderr(log):
        configure(
            "json", service="maguey-gate", gate=GATE_ID
        )  # the door logs a line per scan, as in production
        results = {name: _measure(name, context) for name in wanted}
    shutil.rmtree(folder)
    facts["load after"] = machine.load()
    show(results, facts)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(document(results, facts))
    out.with_suffix(".md").write_text(markdown(results))
    print(f"written to {out}")


def _measure(name: str, context: Context) -> list[Row]:
    started = time.perf_counter()
    gc.collect()
    rows = list(SUBJECTS[name](context))
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return rows


if __name__ == "__main__":
    typer.run(main)
