"""A TOML file with the line of each of its keys, so that a finding can point at it."""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pss_kernel import FileFinding

__all__ = ["KeyPath", "TomlSource"]

KeyPath = tuple[str | int, ...]
"""Where a value stands: ("fare", 3, "one_way"), ("fare_group", 0, "levels", 2, "basis")."""

_HEADER = re.compile(r'^\s*(\[\[?)\s*([\w\-."]+)\s*\]\]?\s*(?:#.*)?$')
_KEY = re.compile(r'^\s*([\w\-]+|"[^"]*")\s*=')
_STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'')
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")


class TomlSource:
    """One file: `content` is its tables, empty when it cannot be read; `findings` say why."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = {}
        self.findings: list[FileFinding] = []
        self._lines: dict[KeyPath, int] = {}
        try:
            text = path.read_bytes().decode("utf-8")
            self.content = tomllib.loads(text)
        except OSError as error:
            self.refuse((), f"the file cannot be read: {error.strerror}", "check its permissions")
        except UnicodeDecodeError as error:
            self.refuse((), f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        except tomllib.TOMLDecodeError as error:
            self._refuse_syntax(str(error))
        except RecursionError:
            self.refuse((), "values are nested too deeply", "use the tables of the format only")
        else:
            self._lines = _line_of_each_key(text)

    def refuse(self, where: KeyPath, message: str, mend: str = "") -> None:
        """Record an error at the line of `where`, or of the nearest table around it."""
        self._add(message, mend, self.line(where), None)

    def warn(self, where: KeyPath, message: str, mend: str = "") -> None:
        """Record what is odd there and yet can be filed."""
        self._add(message, mend, self.line(where), None, severity="warning")

    @property
    def errors(self) -> int:
        """How many errors were found so far."""
        return sum(finding.severity == "error" for finding in self.findings)

    def line(self, where: KeyPath) -> int | None:
        """The line, from 1, of a key or of the nearest table around it."""
        for length in range(len(where), 0, -1):
            if line := self._lines.get(where[:length]):
                return line
        return None

    def _refuse_syntax(self, message: str) -> None:
        position = _POSITION.search(message)
        self._add(
            f"not TOML: {_POSITION.sub('', message).strip()}",
            "correct the syntax here; the rest of the file is checked after that",
            int(position[1]) if position else None,
            int(position[2]) if position else None,
        )

    def _add(
        self,
        message: str,
        mend: str,
        line: int | None,
        column: int | None,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        self.findings.append(
            FileFinding(
                path=self.path,
                line=line,
                column=column,
                message=_sentence(message),
                mend=_sentence(mend[:1].upper() + mend[1:]),
                severity=severity,
            )
        )


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?")) else f"{text}."


def _line_of_each_key(text: str) -> dict[KeyPath, int]:
    """Lines of tables, keys and inline tables, for well-formed text in the usual layout.

    The standard library's parser keeps no positions. This follows headers and keys line by
    line; an unusual layout (a header inside a multi-line string) only moves a line number.
    """
    lines: dict[KeyPath, int] = {}
    tables: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    key: KeyPath = ()
    rows = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _table_path(header[2].replace('"', "").split("."), header[1] == "[[", tables)
            lines.setdefault(table, number)
            if header[1] == "[[":
                lines.setdefault(table[:-1], number)
            key = ()
            continue
        if found := _KEY.match(line):
            key, rows = (*table, found[1].strip('"')), 0
            lines.setdefault(key, number)
        for _ in range(_STRING.sub("", line).split("#")[0].count("{") if key else 0):
            lines.setdefault((*key, rows), number)
            rows += 1
    return lines


def _table_path(names: list[str], is_array: bool, tables: Counter[KeyPath]) -> KeyPath:
    """The path of a header, with the index of each array of tables it passes."""
    path: KeyPath = ()
    for name in names[:-1]:
        path = (*path, name)
        if tables[path]:
            path = (*path, tables[path] - 1)
    path = (*path, names[-1])
    if not is_array:
        return path
    tables[path] += 1
    return (*path, tables[path] - 1)
