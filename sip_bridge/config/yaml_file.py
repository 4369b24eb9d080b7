"""A YAML file as it is written: every scalar is its text, and every value knows its line.

The schema, not YAML, says what is a number: the unquoted password 0123 keeps its zero, the name ``On`` stays ``On``,
and ``!env_var`` can fill a port. Two tags are known: ``!secret name`` reads secrets.yaml beside the file,
``!env_var NAME [default]`` reads the environment.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from sip_bridge.errors import ConfigError

MAX_BYTES: Final = 256 * 1024  # a thousand accounts fit
MAX_VALUES: Final = 50_000  # after aliases are expanded
MAX_DEPTH: Final = 16
SECRETS_FILE: Final = "secrets.yaml"

KeyPath = tuple[str | int, ...]
Value = str | list["Value"] | dict[str, "Value"] | None

_YAML_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUOTED_NAME: Final = re.compile(r" '(?!<)[^']{2,}'")
_HINTS: Final = {
    r"'\t' that cannot start any token": "indent with spaces, not tabs",
    "that cannot start any token": "quote a value that begins with a special character",
    "mapping values are not allowed here": "quote a value that contains ': '",
    "undefined alias": "quote a value that begins with *",
    "undefined tag handle": "quote a value that begins with !",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong where; `format` makes the one line that a person reads."""

    line: int
    path: KeyPath
    text: str

    def order(self) -> tuple[int, str, str]:
        """Sorts problems as the file has them."""
        return self.line, format_path(self.path), self.text

    def format(self, file: Path) -> str:
        """``config.yaml:12: accounts[1].transport: expected one of udp, tcp, tls``."""
        where = f"{format_path(self.path)}: " if self.path else ""
        return f"{file}:{self.line}: {where}{self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says; ``hidden`` are the paths that came from !secret or !env_var, which no message may show."""

    data: Value
    lines: Mapping[KeyPath, int]
    hidden: frozenset[KeyPath]

    def line(self, path: KeyPath) -> int:
        """The line of a key, or of what it is missing from."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def find(self, path: KeyPath) -> Value:
        """The value at ``path``; None where there is none."""
        value = self.data
        for part in path:
            match value, part:
                case dict(), str():
                    value = value.get(part)
                case list(), int():
                    value = value[part]
                case _:
                    return None
        return value


def format_path(path: KeyPath) -> str:
    """``accounts[1].transport``; a key that is no plain word is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_KEY.fullmatch(part) else shown(part))
    return text


def shown(text: str) -> str:
    """A value from the file, quoted, on one line and not too long."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def read(file: Path) -> Document:
    """What ``file`` says; raises `ConfigError` with one line a problem."""
    return _Reader(file).read()


class _Reader:
    """Walks the composed nodes of one file, noting lines and problems."""

    def __init__(self, file: Path, *, tags_allowed: bool = True) -> None:
        self._file = file
        self._tags_allowed = tags_allowed
        self._count = 0
        self._lines: dict[KeyPath, int] = {}
        self._hidden: set[KeyPath] = set()
        self._problems: list[Problem] = []
        self._secrets: Mapping[str, Value] | None = None

    def read(self) -> Document:
        node = _compose(self._file, _text_of(self._file))
        data = None if node is None else self._value(node, ())
        if self._problems:
            raise ConfigError("\n".join(problem.format(self._file) for problem in self._problems))
        return Document(data=data, lines=self._lines, hidden=frozenset(self._hidden))

    def _value(self, node: yaml.Node, path: KeyPath) -> Value:
        self._count += 1
        self._lines.setdefault(path, _line(node))
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise ConfigError(f"{self._file}:{_line(node)}: nested too deeply, or too many values")
        if node.tag not in _YAML_TAGS:
            return self._tagged(node, path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return None if _is_null(node) else str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _YAML_TAGS:
                self._problem(key_node, path, "expected a plain word as the key")
                continue
            key = key_node.value
            if key in values:
                first = self._lines[(*path, key)]
                self._problem(key_node, path, f"key {shown(key)} appears twice, first on line {first}")
                continue
            self._lines[(*path, key)] = _line(key_node)
            values[key] = self._value(value_node, (*path, key))
        return values

    def _tagged(self, node: yaml.Node, path: KeyPath) -> str | None:
        match node:
            case yaml.ScalarNode(tag="!secret") if self._tags_allowed:
                self._hidden.add(path)
                return self._secret(node, path)
            case yaml.ScalarNode(tag="!env_var") if self._tags_allowed:
                self._hidden.add(path)
                return self._env_var(node, path)
            case _:  # its name stays out of the message: it may be a password that was not quoted
                known = "; known are !secret NAME and !env_var NAME" if self._tags_allowed else ""
                self._problem(node, path, f"unknown tag{known}; quote a value that begins with !")
                return None

    def _secret(self, node: yaml.ScalarNode, path: KeyPath) -> str | None:
        secrets_file = self._file.with_name(SECRETS_FILE)
        if not secrets_file.exists():
            self._problem(node, path, f"!secret needs the file {SECRETS_FILE} beside {self._file.name}; there is none")
            return None
        if self._secrets is None:
            self._secrets = _read_secrets(secrets_file)
        value = self._secrets.get(node.value)
        if not isinstance(value, str):
            self._problem(node, path, f"no secret {shown(node.value)} in {SECRETS_FILE}")
            return None
        return value

    def _env_var(self, node: yaml.ScalarNode, path: KeyPath) -> str | None:
        name, _, default = node.value.strip().partition(" ")
        if not name or "=" in name or "\0" in name:
            self._problem(node, path, "expected !env_var NAME or !env_var NAME default")
            return None
        value = os.environ.get(name, default.strip() or None)
        if value is None:
            self._problem(node, path, f"the environment variable {shown(name)} is not set, and no default follows it")
        return value

    def _problem(self, node: yaml.Node, path: KeyPath, text: str) -> None:
        self._problems.append(Problem(line=_line(node), path=path, text=text))


def _read_secrets(file: Path) -> Mapping[str, Value]:
    document = _Reader(file, tags_allowed=False).read()
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise ConfigError(f"{file}:1: expected lines of NAME: VALUE")
    return document.data


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULLS


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: longer than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8") from None


def _compose(file: Path, text: str) -> yaml.Node | None:
    """The file's one document as nodes. PyYAML's errors quote the file, passwords too: none is chained."""
    try:
        return yaml.BaseLoader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{file}:{line}: the character U+{ord(text[error.position]):04X} may not stand in YAML"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_error(file, error)) from None
    except (ValueError, OverflowError):  # a \U escape beyond Unicode, a %YAML directive of too many digits
        raise ConfigError(f"{file}: not YAML: a number or an escape that is too large") from None
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply") from None


def _syntax_error(file: Path, error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if problem.startswith("but "):
        problem = f"{error.context}, {problem}"
    hint = next((f"; {hint}" for part, hint in _HINTS.items() if part in problem), "")
    text = f"not YAML: {_QUOTED_NAME.sub('', problem)}{hint}"
    mark = error.problem_mark or error.context_mark
    return f"{file}: {text}" if mark is None else f"{file}:{mark.line + 1}: column {mark.column + 1}: {text}"
