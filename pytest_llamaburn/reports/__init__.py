"""Rendering result files: one module a format, named as after `-o`; each has `render`.

A format for terminals also has `fitted`, which takes their width.

A format in which one file is independent of the others has `BETWEEN`, the text between two files:
then each is shown as soon as it is rendered.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import files, registry
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.texts import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def show(
    paths: Sequence[Path],
    outputs: Iterable[str],
    write: Callable[[str], Any],
    width: int | None = None,
) -> None:
    """Render result files in each wanted format: words to `write`, paths to files.

    What goes to `write` is fitted to a terminal of `width` columns, if that is given. Each file
    that was written is told on stderr. Raises SettingsError for an unknown format, ResultsError for
    a file that cannot be written.
    """
    wanted = list(outputs) or ["table"]
    for output in wanted:
        target = _target(output)
        form = registry.load("reports", _format(output))
        pieces = _rendered(form, paths, width if target is None else None)
        if target is None:
            for piece in pieces:
                write(piece)
        else:
            save(target, whole("".join(pieces)).encode())
            print(f"wrote {target}", file=sys.stderr)  # noqa: T201 - beside what goes to stdout


def _rendered(form: Any, paths: Sequence[Path], width: int | None) -> Iterator[str]:
    """Yield the text of some files, one after another where the format permits it."""
    fits = width is not None and hasattr(form, "fitted")
    render = partial(form.fitted, width=width) if fits else form.render
    between = getattr(form, "BETWEEN", None)
    if between is None:
        yield render(paths)
        return
    for number, path in enumerate(paths):
        yield (between if number else "") + render([path])


def check(outputs: Iterable[str]) -> None:
    """Raise UsageError for an output that names no format, or a file that has no place to be."""
    for output in outputs:
        _format(output)
        target = _target(output)
        if target is not None and not target.parent.is_dir():
            raise ResultsError(f"--output: {output}: there is no directory {target.parent}")


def _target(output: str) -> Path | None:
    return None if output in registry.names("reports") else Path(output)


def _format(output: str) -> str:
    formats = registry.names("reports")
    if output in formats:
        return output
    suffixes = {registry.load("reports", name).SUFFIX: name for name in formats}
    found = suffixes.get(Path(output).suffix.lower())
    if found is None:
        valid = [*formats, *(f"FILE{suffix}" for suffix in suffixes)]
        raise SettingsError(f"--output: {registry.unknown('format', output, valid)}")
    return found


def save(path: Path, content: bytes) -> None:
    """Write the file of an --output; raises ResultsError if it cannot be written."""
    try:
        files.save(path, content)
    except OSError as err:
        raise ResultsError(f"--output: {path} cannot be written: {err.strerror or err}") from err
