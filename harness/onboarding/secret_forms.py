"""What counts as a secret: by the name of its field, by its form, or by a name before it in a text.

A recorded workload leaves out what holds one, and `harness init` shows none of the user's files on the screen. A secret
too many is only a request or a value less; so every usual name and form is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import unquote_plus, urlsplit

HIDDEN = "…"
_PARTS = (
    r"pass(w|phrase|code|[-_]?key|[-_]?hash)|(?<!com)(?<!by)(?<!tres)(?<!sur)(?<!under)(?<!over)pass\d*$|pwd|secret"
    r"|(^|[-_.])pw\d*$|(^|[-_.])(pin|t?otp|cvv2?|cvc)$"
    r"|token(?!s|iz|[-_]?(type|id|count|limit|usage|prob|logprob|class|index|length|budget|embedd))"
    r"|(access|refresh|auth|api|session|bearer|csrf|xsrf|security|personal|device|secret)[-_]?tokens"
    r"|jwt|bearer|(api|access|private|account|encryption|signing|master)[-_]?keys?|authorization|^auth$|credential"
    r"|^sig$|^sas$|signature(?![-_]?(name|def))|cookie|conn(ection)?[-_]?str(ing)?|sess(ion)?[-_]?(key|hash|token)$"
)
"""Of `tokens` only those that open something: a language model counts others. A model has signatures, too."""
_NAME = re.compile(_PARTS, re.IGNORECASE)
_FIELD = re.compile(rf"{_PARTS}|^key$", re.IGNORECASE)
_HEADER = re.compile(rf"{_PARTS}|^key$|auth|session", re.IGNORECASE)
_SESSION = re.compile(r"sess(ion)?[-_.]?(id)?$|(^|[-_.])sid$", re.IGNORECASE)
"""Names of what lets a client in, or only numbers its session."""
_UNGUESSABLE = re.compile(r"(?!\d+$)\S{8,}")
_LOGIN = re.compile(r"(://[^\s/?#@:\[\]\"'<>]*:)(?!\d+[/?#\"'\\,;)}\]])([^\s@<>]{1,200})@")
_LOGIN_ALONE = re.compile(r"(://)([\w.~%+-]{16,200})@")
_TOKEN = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b(Bearer|bearer|Basic)\s+[\w+/=.~-]{8,}"
    r"|\b(?i:bearer|basic)\s+(?=\S*[\dA-Z=])[\w+/=.~-]{8,}"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY[^-]{0,40}-{0,5}[\s\w+/=\\]*|AGE-SECRET-KEY-\w+"
    r"|(?<![\w-])((sk|rk)[-_](?=[\w-]*\d)[\w-]{16,}|AIza[\w-]{20,}|ya29\.[\w-]{20,}|gh[pousr]_\w{16,}|github_pat_\w{16,}"
    r"|gl(pat|sa|dt|rt)[-_][\w-]{16,}|(AKIA|ASIA)[A-Z0-9]{12,}|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|hf_\w{16,}|npm_\w{16,}"
    r"|pypi-[\w-]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|dapi[0-9a-f]{32}|hvs\.[\w-]{16,}|dop_v1_\w{16,}|shp(at|ss|ca)_\w{16,}"
    r"|gsk_\w{16,}|r8_\w{16,}|nvapi-[\w-]{16,}|xai-[\w-]{16,}|whsec_\w{16,}|lin_api_\w{16,}|ATATT3[\w=-]{16,}"
    r"|sbp_\w{16,}|key-[0-9a-f]{32}|SK[0-9a-f]{32})"
    r"|hooks\.slack\.com/services/[\w/]+|discord(app)?\.com/api/webhooks/\d+/[\w-]+|(?<!\d)\d{8,10}:[\w-]{30,}"
)
"""Signed tokens, credentials, private keys, and keys by the prefixes that their issuers gave them."""
_NAMED = re.compile(
    r"(?<![\w.-])(?P<name>-{0,2}[A-Za-z_][\w.-]{0,80})(?![\w.-])"
    r"(?=(?P<between>[\\\"']*\s*(?:=>|[:=])\s*|[\\\"']*\s*[\r\n]+|\s+(?=[\"'])|\s+(?:is|to)\s+(?=\S))[\\\"']*"
    r"(?P<value>[^\s\\\"',;&<>{}\[\]]{0,200}))"
)
"""A name in a text, before what may be its value, or a name itself: in a form, a statement, lines of JSON or YAML."""
_OPTION = re.compile(r"(?<![\w-])--?(?P<name>[A-Za-z][\w-]{0,80})\s+[^\s-]")
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z_][\w:.-]{0,80})(?:\s[^<>]{0,200})?>(?P<value>[^<]{1,200})")
_PASSWORDS = (
    r"(?:pass(?:word|phrase|code|wd|wort)|pwd|kennwort|mot de passe|contraseña|senha|пароль|密码|密碼"
    "|パスワード|비밀번호)s?"
)
_IS = r"(?:(?:\b(?:is|was|ist|war|lautet|est|es)\b|[:=：是é])[\s:=\"'“(]*)"
_SAID = re.compile(
    rf"{_PASSWORDS}(?![a-z0-9_])[^.!?\r\n]{{0,40}}?{_IS}(?P<word>[^\s\"',;&<>{{}}\[\]])"
    rf"|{_PASSWORDS}\s+(?P<digits>(?=\S*\d)(?=\S*[A-Za-z])[^\s\"',;&<>{{}}\[\]]{{6,}})"
    r"|(?<![a-z])(?:token|secret|(?:api|access|private|licen[cs]e|encryption|signing|recovery)[ -]?key)s?"
    rf"(?:(?!\w)[^.!?\r\n]{{0,40}}?{_IS}|\s+)(?P<key>(?=\S*\d)(?=\S*[A-Za-z])[\w+/=.~-]{{8,}})"
    r"|(?<![a-z])(?:pin|otp|(?:verification|security|one[- ]time|login|2fa)[ -]?code)(?!\w)[^.!?\r\n]{0,40}?"
    rf"(?:{_IS}|\s)(?P<code>\d{{4,8}}(?!\w))",
    re.IGNORECASE,
)
"""A secret in a sentence. What is called a password may be any word; what is called a key or a token looks like one."""
_SAYING = (
    "pass", "pwd", "wort", "contrase", "senha", "пароль", "密码", "密碼", "パスワード", "비밀번호",
    "token", "secret", "key", "pin", "otp", "code",
)  # fmt: skip
_OPTIONS = ("-u", "user", " -p", " -a")
_COMMAND = re.compile(
    r"(?<![\w-])(?:-u ?|--?(?:proxy-)?user[ =])[\"']?(?!\d+:\d+\b)[^\s:\"'/]+:(?P<login>[^\s\"'/])"
    r"|\b(?:mysql\w*|mariadb\w*|mongo\w*|sshpass|(?:docker|podman|helm|az|oc)\b[^\r\n|;&]{0,80}?\blogin)\b"
    r"[^\r\n|;&]{0,200}?\s-p ?(?P<after>[^\s-])"
    r"|\b(?:redis|valkey)-cli\b[^\r\n|;&]{0,200}?\s-a +(?P<asked>\S)"
)
"""A secret behind a short option of a usual command, or behind the name of a user."""
_BEFORE_KEY = re.compile(
    rf"{_PARTS}|^(reset|verif(y|ication)|invit\w*|activat\w*|confirm\w*|unsubscribe|magic([-_]?links?)?|shared?"
    r"|(web)?hooks?|login|otp)$",
    re.IGNORECASE,
)
"""In a path, the part before one that lets in whoever knows it."""
_KEY_PART = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[^/]{12,}")
_RUN = re.compile(r"[A-Za-z0-9]{20,}")
MIXED = 0.45
"""How often a drawn text of letters and digits changes between small, great and digit, at the least, by its length."""
_SPOKEN = re.compile(r"pass(word|phrase|code|wd)$|pwd$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$?\$\{(secret:)?[A-Za-z_]\w*\}|\$[A-Za-z_]\w*")
_WORD = re.compile(r"[\w-]{1,60}")
_NAMING = frozenset(("name", "names", "key", "field", "fields", "param", "parameter", "header", "label", "variable"))
_NAMING_ALL = frozenset(("columns", "names", "fields", "headers", "index"))
_VALUED = frozenset(("value", "values", "val", "v", "data", "rows", "content", "text", "default", "stringvalue"))


def named_secret(name: str, value: Any = None) -> str | None:
    """Return the word that says so where a field of this name holds a secret."""
    return _found(_FIELD, name) or _session(name, value)


def only_numbers(name: str) -> bool:
    """Whether a field of this name is a secret only where it lets a client in, and may as well number its session."""
    return _SESSION.search(name) is not None and not _FIELD.search(name)


def is_secret_header(name: str, value: str) -> bool:
    """Whether a header with this name or value is a secret."""
    return _HEADER.search(name) is not None or may_hold_secret(value)


def may_hold_secret(text: str) -> bool:
    """Whether a text has a secret in it, by its form or by a name before it; also in one that is quoted for a URL."""
    for _ in range(3):
        if _holds(text):
            return True
        plain = unquote_plus(text)
        if plain == text:
            return False
        text = plain
    return _holds(text)


def secret_in_path(path: str) -> bool:
    """Whether a path has a part that lets in whoever knows it: one drawn of letters and digits, or behind a name."""
    parts = unquote_plus(urlsplit(path).path).split("/")
    if any(_BEFORE_KEY.search(name) and _KEY_PART.fullmatch(part) for name, part in pairwise(parts)):
        return True
    return any(_is_mixed(match[0]) for part in parts for match in _RUN.finditer(part))


def _is_mixed(text: str) -> bool:
    """Whether small and great letters and digits come without an order, as in no name. A digest has one case only."""
    kinds = ["d" if one.isdigit() else "A" if one.isupper() else "a" for one in text]
    return len(set(kinds)) == 3 and sum(one != other for one, other in pairwise(kinds)) >= MIXED * len(text)


def secrets_in(value: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the dotted place of each secret in what JSON holds, with the word that says so, or None for its form."""
    waiting: list[tuple[str, tuple[str, ...], Any]] = [("", (), value)]
    while waiting:
        place, names, at = waiting.pop()
        if isinstance(at, dict) and at:
            labels = _labels(at)
            inside = [
                (_joined(place, str(key)), (*names, str(key), *(labels if str(key).lower() in _VALUED else ())), one)
                for key, one in at.items()
            ]
            waiting += reversed(inside)
        elif isinstance(at, list) and at:
            # A pair of a name and a value, as lists of headers have them.
            pair = (at[0],) if len(at) == 2 and all(isinstance(one, str) for one in at) else ()
            waiting += reversed(
                [
                    (_joined(place, str(number)), (*names, *(pair if number else ())), one)
                    for number, one in enumerate(at)
                ]
            )
        else:
            word = next(filter(None, (named_secret(name, at) for name in names)), None)
            if word is not None or (isinstance(at, str) and may_hold_secret(at)):
                yield place, word


def hidden(text: str) -> str:
    """Return a text without the secrets in it, to be shown."""
    text = _LOGIN_ALONE.sub(rf"\1{HIDDEN}@", _LOGIN.sub(rf"\1{HIDDEN}@", text))
    text = _TOKEN.sub(HIDDEN, text)
    for match in filter(None, _spoken(text)):
        return text[: match.start(str(match.lastgroup))] + HIDDEN
    for pattern in (_NAMED, _OPTION, _ELEMENT):
        for match in pattern.finditer(text):
            rest = text[match.start("value") if pattern is not _OPTION else match.end("name") + 1 :]
            if _NAME.search(match["name"]) and rest and not _VARIABLE.match(rest):
                return text[: len(text) - len(rest)] + HIDDEN
    return text


def hidden_value(name: str, text: str) -> str:
    """Return the value of a field without what is secret in it, to be shown. A variable tells no secret, and stays."""
    if _VARIABLE.fullmatch(text) or not text:
        return text
    return HIDDEN if _NAME.search(name) or _session(name, text) else hidden(text)


def _holds(text: str) -> bool:
    if _TOKEN.search(text) or _LOGIN.search(text) or _LOGIN_ALONE.search(text):
        return True
    if any(_spoken(text)):
        return True
    for match in _NAMED.finditer(text):
        name, spoken = match["name"], match["between"].strip() in ("is", "to")
        if (_SPOKEN if spoken else _NAME).search(name) or _session(name, match["value"]):
            return True
    return any(_NAME.search(match["name"]) for pattern in (_OPTION, _ELEMENT) for match in pattern.finditer(text))


def _spoken(text: str) -> Iterator[re.Match[str] | None]:
    """Yield where a text tells a secret in a sentence or a command; what has no such word is not searched at length."""
    lower = text.lower()
    if any(word in lower for word in _SAYING):
        yield _SAID.search(text)
    if any(option in text for option in _OPTIONS):
        yield _COMMAND.search(text)


def _session(name: str, value: Any) -> str | None:
    return _found(_SESSION, name) if isinstance(value, str) and _UNGUESSABLE.fullmatch(value) else None


def _found(pattern: re.Pattern[str], name: str) -> str | None:
    """Return the word of a name in which a pattern is found: no more, as not everything in place of a name is one."""
    match = pattern.search(name)
    if match is None:
        return None
    return next((word[0] for word in _WORD.finditer(name) if word.end() > match.start()), match[0])


def _labels(at: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return the names that fields of a mapping give to its values: one to `value`, or some to all columns."""
    single = [one for key, one in at.items() if isinstance(one, str) and str(key).lower() in _NAMING]
    lists = [one for key, one in at.items() if isinstance(one, list) and str(key).lower() in _NAMING | _NAMING_ALL]
    return (*single, *(name for one in lists for name in one if isinstance(name, str)))


def _joined(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
