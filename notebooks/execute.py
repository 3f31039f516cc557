"""Run the notebook from top to bottom, or check that it and its script are in step.

The script is the source; the notebook beside it is made of it, with what its cells put out, so that
it can be read where nothing can be run.

    python notebooks/execute.py           runs the script's cells, into build/
    python notebooks/execute.py --keep    runs them, and renews the notebook
    python notebooks/execute.py --check   compares the cells of both, runs nothing
"""

from __future__ import annotations

import shutil
import sys
import time
from datetime import datetime
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "monet_cyclegan.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
BUILD = HERE.parent / "build" / NOTEBOOK.name
RUNS = HERE / "runs"
CELL_SECONDS = 600  # of one cell, on the slowest machine
TOLD_SECONDS = 5.0

Notebook = nbformat.NotebookNode


def cells(notebook: Notebook) -> list[tuple[str, str]]:
    """(kind, text) of every cell, which is what script and notebook must agree in."""
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def difference() -> str | None:
    """Where the notebook is not what its script says, in a sentence; None where it is."""
    if not NOTEBOOK.is_file():
        return f"{NOTEBOOK.name} is missing"
    kept_notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    written, kept = cells(jupytext.read(SCRIPT)), cells(kept_notebook)
    if written == kept:
        return None
    pairs = enumerate(zip(written, kept, strict=False))
    first = next((number for number, (one, other) in pairs if one != other), None)
    if first is None:
        return f"{SCRIPT.name} has {len(written)} cells and {NOTEBOOK.name} {len(kept)}"
    return f"cell {first + 1} of {SCRIPT.name} ({written[first][1].splitlines()[0]!r}) is another"


def executed(notebook: Notebook) -> Notebook:
    """The notebook with its outputs, run in its own folder; runs that it trained are removed.

    Raises nbclient's CellExecutionError where a cell fails, SystemExit where one warns.
    """
    before = set(RUNS.glob("*"))
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(HERE)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # it is this computer that listens
    )
    try:
        client.execute()
    finally:
        for run in set(RUNS.glob("*")) - before:
            shutil.rmtree(run)
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                sys.exit(f"cell {number} warns: {output.text}")
    return notebook


def told(notebook: Notebook) -> None:
    """Print the first line of each cell that takes long, and its seconds."""
    for number, cell in enumerate(notebook.cells, 1):
        times = cell.metadata.get("execution", {})
        if "shell.execute_reply" not in times:
            continue
        began, ended = (
            datetime.fromisoformat(times[moment])
            for moment in ("iopub.execute_input", "shell.execute_reply")
        )
        seconds = (ended - began).total_seconds()
        if seconds >= TOLD_SECONDS:
            print(f"{seconds:6.1f} s  cell {number}: {cell.source.splitlines()[0]}")


def tidy(notebook: Notebook) -> Notebook:
    """Without what differs from machine to machine and from run to run."""
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({})  # type: ignore[no-untyped-call]
    kept = {key: notebook.metadata[key] for key in ("jupytext", "kernelspec")}
    kept["language_info"] = {"name": "python"}
    notebook.metadata = nbformat.from_dict(kept)  # type: ignore[no-untyped-call]
    return notebook


def main() -> None:
    """Do what the module says; exit 1 with a sentence where script and notebook differ."""
    if "--check" in sys.argv:
        if found := difference():
            sys.exit(f"{found}; run python {Path('notebooks', Path(__file__).name)} --keep.")
        return
    began = time.perf_counter()
    notebook = executed(jupytext.read(SCRIPT))
    told(notebook)
    target = NOTEBOOK if "--keep" in sys.argv else BUILD
    target.parent.mkdir(exist_ok=True)
    nbformat.write(tidy(notebook), target)  # type: ignore[no-untyped-call]
    shown = target.relative_to(HERE.parent)
    print(f"{shown}: {time.perf_counter() - began:.0f} s, {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
