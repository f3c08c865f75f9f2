"""Text of others, made safe to show: what a stack, a scenario or a file says must not act on who reads it.

A journal keeps every character as it came. Where text leaves the harness, what a terminal, a browser or a CI system
would obey instead of showing is replaced by U+FFFD: control characters (and with them every escape sequence), marks
that turn the direction of text, characters without width, and halves of surrogate pairs.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff"
# In order: C0 but tab and line feed, DEL and C1, the soft hyphen, the Arabic letter mark, fillers without width, zero
# width and direction, line separators and embeddings, invisible operators and isolates, the byte order mark,
# annotations and what is no character, halves of surrogate pairs, and tags.
_OBEYED = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff"
)
_FORBIDDEN = re.compile(f"[{_OBEYED}]|(?<![{_EMOJI}])\u200d|\u200d(?![{_EMOJI}])")  # emoji are joined by U+200D
_COMMAND = re.compile(r"^[^\S\n]*:(?=:)|#(?=#(?:vso|teamcity)?\[)", re.MULTILINE)


def forbidden(text: str) -> str | None:
    """Return the first character of a text that is replaced; None where none is."""
    if text.isascii() and text.isprintable():
        return None  # most texts
    found = _FORBIDDEN.search(text)
    return None if found is None else found[0]


def cleaned(text: str) -> str:
    """Return the text with U+FFFD for every character that is obeyed rather than shown; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return _FORBIDDEN.sub(REPLACEMENT, text.replace("\r\n", "\n"))


def for_terminal(text: str) -> str:
    """Return the text for a terminal or a log.

    CI systems read logs, too: a line that would be one of their commands (`::error::`, `##[group]`) gets a space in it.
    """
    return _COMMAND.sub(lambda found: f"{found[0]} ", cleaned(text))


def escaped_json(text: str) -> str:
    """Return text in JSON, with escapes for the characters that are obeyed; what it says stays the same."""
    return _FORBIDDEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
