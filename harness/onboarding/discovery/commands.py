"""What a service's command runs in the end: through shells and wrappers to the last program, and whether that one ends.

A script of a shell often waits for others or loads something first; what its last command is decides what the service
is. Nothing is run and no file is opened: a script in a file of its own is a name and no more.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_WRAPPERS = frozenset({"exec", "tini", "dumb-init", "nohup", "time", "env", "sudo", "gosu", "poetry", "uv", "pipenv"})
_GRAMMAR = frozenset({"then", "do", "else", "!", "{", "run", "--"})
_NO_PROGRAM = frozenset({"done", "fi", "}", "wait", "true", ":"})
_SEPARATORS = frozenset({";", "&", "&&", "||", "|", ";;"})
_ENDLESS = re.compile(
    r"\b(while\s+(true|:|sleep|\[+ *1 *\]+)|until\s+false|for\s*\(\(\s*;\s*;)|\bsleep\s+inf|\btail\s+-\w*f|--watch\b"
)
_ENDS = frozenset({
    "alembic", "aws", "chmod", "chown", "clickhouse-client", "cp", "cqlsh", "curl", "echo", "etcdctl", "exit", "flyway",
    "http", "influx", "jq", "kafka-configs", "kafka-topics", "liquibase", "mc", "mkdir", "mongo", "mongoimport",
    "mongorestore", "mongosh", "mysql", "pg_restore", "psql", "redis-cli", "rpk", "s3cmd", "sqlcmd", "touch",
    "valkey-cli", "wget",
})  # fmt: skip
"""Programs that do one thing and end."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command. `last` are the words of the last program that it runs, `whole` is all of it as one line."""

    whole: str
    last: tuple[str, ...]
    endless: bool
    background: bool

    @property
    def program(self) -> str:
        """The file name of the last program, as `python` of `/usr/bin/python3.11`; empty where there is none."""
        return re.sub(r"(?<=python)[\d.]+$", "", _base(self.last[0])) if self.last else ""

    @property
    def script(self) -> str:
        """What a program of one's own is called: the script or module of an interpreter, or the program itself."""
        for flag in ("-m", "-jar"):
            if flag in self.last[1:-1]:
                name = self.last[self.last.index(flag) + 1]
                return _base(name).removesuffix(".jar")
        if self._file and (self.runs_own_code or self.program in _SHELLS):
            return re.sub(r"\.\w+$", "", _base(self._file))
        return re.sub(r"\.(sh|py)$", "", self.program)

    @property
    def runs_own_code(self) -> bool:
        """Whether an interpreter runs a file: what the image was made for is not what runs then."""
        return self.program in ("python", "node", "Rscript") and re.search(r"\.(py|js|R)$", self._file) is not None

    @property
    def runs_shell_script(self) -> bool:
        """Whether it is a script of a shell, which often starts what the image was made for."""
        return (self.program in _SHELLS and bool(self._file)) or self.program.endswith(".sh")

    @property
    def _file(self) -> str:
        """What an interpreter is given to run; nothing where that is a module."""
        if "-m" in self.last[1:2]:
            return ""
        return next((word for word in self.last[1:] if not word.startswith("-")), "")

    @property
    def ends(self) -> bool:
        """Whether the last program does one thing and ends."""
        return not self.endless and not self.background and self.program.removesuffix(".sh") in _ENDS


def words_of(body: Mapping[str, Any]) -> list[str]:
    """Return the words of the entry point and the command in a service's part of the file, if it has any."""
    words: list[str] = []
    for key in ("entrypoint", "command"):
        value = body.get(key)
        if isinstance(value, str):
            try:
                words += shlex.split(value)
            except ValueError:
                words += value.split()
        elif isinstance(value, list):
            words += [str(word) for word in value]
    return words


def command_line(words: Sequence[str]) -> CommandLine:
    """Read the words of an entry point and a command."""
    whole = " ".join(" ".join(words).split())
    script = _script(words)
    if script is None:
        return CommandLine(whole, _unwrapped(words), _ENDLESS.search(whole) is not None, background=False)
    commands = _commands(script)
    last = next((found for one in reversed(commands) if (found := _unwrapped(one)) and found[0] not in _NO_PROGRAM), ())
    background = re.search(r"(?<![&>])&(?![&>\d])", script) is not None
    return CommandLine(whole, last, _ENDLESS.search(script) is not None, background)


def _script(words: Sequence[str]) -> str | None:
    """Return the script that a shell is given as a word; None where it is given none."""
    rest = _unwrapped(words)
    if not rest or _base(rest[0]) not in _SHELLS:
        return None
    for index, word in enumerate(rest[1:4], start=1):
        if re.fullmatch(r"-\w*c", word):
            return rest[index + 1] if len(rest) > index + 1 else None
    return None


def _commands(script: str) -> list[list[str]]:
    reader = shlex.shlex(script.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    reader.commenters = ""
    found: list[list[str]] = [[]]
    try:
        for word in reader:
            if word in _SEPARATORS:
                found.append([])
            else:
                found[-1].append(word)
    except ValueError:  # a quotation that does not end
        return []
    return found


def _unwrapped(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command without what only hands it on: `exec`, variables, `tini --`, `poetry run`."""
    rest = list(words)
    while rest:
        name = _base(rest[0])
        wraps = name in _WRAPPERS or name in _GRAMMAR or re.fullmatch(r"[A-Za-z_]\w*=.*", rest[0], re.DOTALL)
        if not wraps and not (name.endswith("entrypoint.sh") and len(rest) > 1):
            break
        rest = rest[1:]
        while name in _WRAPPERS and rest and rest[0].startswith("-"):
            rest = rest[1:]
    return tuple(rest)


def _base(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]
