"""How to be let into a store: the names and passwords in a service's configuration, as they are to be written.

A value is copied as it was written, with its variables, and stands in a field of its own: in a URL it would have to be
quoted, which cannot be done to a variable. What lies in a file of the container, or is made by its shell, is not known.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from harness.onboarding.discovery.config_files import config_files, text_of
from harness.onboarding.discovery.project import PLAIN_YAML, Project, literal, written_texts

POSTGRES_USER = ("POSTGRES_USER", "POSTGRESQL_USERNAME")
POSTGRES_PASSWORD = ("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD")
POSTGRES_DATABASE = ("POSTGRES_DB", "POSTGRESQL_DATABASE")
MYSQL_USER = ("MYSQL_USER", "MARIADB_USER")
MYSQL_PASSWORD = ("MYSQL_PASSWORD", "MARIADB_PASSWORD")
MYSQL_ROOT_PASSWORD = ("MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD")
MYSQL_EMPTY = ("MYSQL_ALLOW_EMPTY_PASSWORD", "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD")
MYSQL_DATABASE = ("MYSQL_DATABASE", "MARIADB_DATABASE")
MONGO_ROOT = (
    ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"),
    ("MONGODB_INITDB_ROOT_USERNAME", "MONGODB_INITDB_ROOT_PASSWORD"),
)
"""Of Docker's own image, and of MongoDB's: both make the user only if their `mongod` is what is started."""
BITNAMI_MONGO_USER = ("MONGODB_USERNAME", "MONGODB_PASSWORD", "MONGODB_DATABASE")
BITNAMI_MONGO_ROOT = ("MONGODB_ROOT_USER", "MONGODB_ROOT_PASSWORD")
REDIS_PASSWORD = ("REDIS_PASSWORD", "VALKEY_PASSWORD")
S3_KEY = ("AWS_ACCESS_KEY_ID", "MINIO_ROOT_USER", "MINIO_ACCESS_KEY", "S3_ACCESS_KEY")
S3_SECRET = ("AWS_SECRET_ACCESS_KEY", "MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY", "S3_SECRET_KEY")
_OPTION = "--requirepass"
_IN_FILE = re.compile(r"^\s*requirepass\s+\S", re.MULTILINE)
_SHELLS = ("sh", "bash", "ash", "dash")
_OF_SHELL = re.compile(r"\$\$(?:\{(?P<braced>\w+)\}|(?P<named>\w+))")
_BRACED = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
_HELD = re.compile("\0(\\d+)\0")


def setting(project: Project, service: str, *keys: str, secret: bool = True) -> str | None:
    """Return how to write the first of these variables of a service; None where it has none of them.

    What is no secret, such as a database's name, is written as it is, wherever it lies.
    """
    for key in keys:
        path = ("services", service, "environment", key)
        if key not in (project.services[service].get("environment") or {}):
            continue
        written = project.written(path)
        if not secret:
            return literal(str(project.services[service]["environment"][key]))
        if Path(project.composed.tree.file_of(path)).suffix not in PLAIN_YAML or written is None:
            return f"$${{secret:{key}}}"
        return str(written)
    return None


def in_a_file(project: Project, service: str, *keys: str) -> str | None:
    """Return why one of these variables is not known: it is in a file in the container that a variable names."""
    environment = project.services[service].get("environment") or {}
    name = next((f"{key}_FILE" for key in keys if environment.get(f"{key}_FILE")), None)
    return None if name is None else f"what {name} names is read in the container only"


def redis_password(project: Project, service: str) -> str | None:
    """Return how to write the password of a Redis; None where none is known."""
    known = setting(project, service, *REDIS_PASSWORD)
    if known is not None:
        return known
    given = _given(project, service)
    if given is None or not _by_shell(project, service, given):
        return given
    match = _OF_SHELL.fullmatch(given)
    return setting(project, service, match["braced"] or match["named"]) if match else None


def redis_unknown(project: Project, service: str) -> str | None:
    """Return why the password of a Redis that has one is not known; None where it is, or where there is none."""
    if redis_password(project, service) is not None:
        return None
    given = _given(project, service)
    if given is not None:
        return f"the shell in its container makes the value of {_OPTION}"  # of which a part may be the password
    for file in config_files(project.services[service], project.folder):
        if _IN_FILE.search(text_of(file)):
            return f"{file.name} sets requirepass"
    return in_a_file(project, service, *REDIS_PASSWORD)


def _given(project: Project, service: str) -> str | None:
    """Return the password in a command, as it is written there."""
    words = iter(_words(project, service))
    for word in words:
        if word == _OPTION:
            return next(words, None)
        if word.startswith(f"{_OPTION}="):
            return word.partition("=")[2]
    return None


def _words(project: Project, service: str) -> Iterator[str]:
    for text in written_texts(project, service):
        yield from _split(text)


def _split(text: str) -> Iterator[str]:
    """Yield the words of a text that holds the option among others; another text is one word."""
    if _OPTION not in text or text == _OPTION or text.startswith(f"{_OPTION}="):
        yield text
        return
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(match[0])
        return f"\0{len(held) - 1}\0"

    # Compose fills in a variable before it looks for words: a blank in its default is no end of a word.
    whole = _BRACED.sub(hold, text)
    try:
        words = shlex.split(whole)
    except ValueError:
        words = whole.split()
    for word in words:
        inside = _HELD.sub(lambda match: held[int(match[1])], word)
        yield from _split(inside) if inside != text else (inside,)


def _by_shell(project: Project, service: str, given: str) -> bool:
    """Whether a dollar sign in a password is one that a shell in the container fills in."""
    words = [word for text in written_texts(project, service) for word in text.split()]
    return "$$" in given and any(Path(word).name in _SHELLS for word in words)
