"""What a service's own health check asks: the port, and the path where whoever asks gets 200.

A check that sends credentials or another method, or that asks over TLS, says that something listens there and no more:
the harness would get another answer. `curl` without `--fail` is content with any answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

OWN_HOSTS = ("", "0.0.0.0", "[::]", "[::0]", "*", "localhost", "127.0.0.1", "[::1]")  # noqa: S104 - it is only read
_HOSTNAMES = re.compile(r"\$+\{?HOSTNAME\}?|\$+\(hostname\)|`hostname`")
_URL = re.compile(r"(?P<scheme>https?)://(?P<host>\[[^\]\s]*\]|[\w.-]+)(?::(?P<port>\d+))?(?P<path>/[^\s'\"|&;)<>]*)?")
_FAILS = re.compile(r"\bcurl\b[^|;&]*\s(?:-[a-zA-Z]*f[a-zA-Z]*|--fail(?:-with-body)?)(?=\s|$)")
_SENDS = re.compile(
    r"(?:^|\s)(?:-u|--user|-H|--header|--http-user|--method|(?:-X|--request)(?![= ]?(?:GET|HEAD)\b)|-d|--data"
    r"|--post-data|--post-file|-b)(?==|\s|\S*:)|\bheaders\s*=|\bmethod\s*=|\bRequest\(|\bauth\s*=|\.post\("
)
"""What makes a request another one than that for a path alone."""
_CURL = re.compile(r"\bcurl\b")
_USUAL = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OwnCheck:
    """The first URL of its own that a health check asks. `path` is None where others would get another answer; `sure`
    is whether the check demands a good answer."""

    port: int | None = None
    path: str | None = None
    sure: bool = False


def checks_itself(body: Mapping[str, Any]) -> bool:
    """Whether compose checks a service."""
    check = body.get("healthcheck")
    return isinstance(check, dict) and not check.get("disable") and check.get("test") not in (None, "NONE", ["NONE"])


def own_check(body: Mapping[str, Any], of_image: str, names: Collection[str]) -> OwnCheck:
    """Return what a service's own check asks of itself; `names` are those that it is known by.

    `of_image` is the check of the Dockerfile, which holds where compose gives none.
    """
    check = body.get("healthcheck")
    test = check.get("test") if isinstance(check, dict) and checks_itself(body) else of_image
    line = " ".join(str(word) for word in test) if isinstance(test, list) else str(test or "")
    line = _HOSTNAMES.sub("localhost", line)
    match = next((one for one in _URL.finditer(line) if one["host"] in (*OWN_HOSTS, *names)), None)
    if match is None:
        return OwnCheck()
    port = int(match["port"]) if match["port"] else _USUAL[match["scheme"]]
    if match["scheme"] != "http" or _SENDS.search(line):
        return OwnCheck(port)
    parts = urlsplit(match[0])
    path = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
    return OwnCheck(port, path, sure=_FAILS.search(line) is not None or not _CURL.search(line))
