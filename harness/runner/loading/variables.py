"""Variables of a scenario: `${name}` filled in from `vars`, `matrix` and `--set`; `${secret:NAME}` left as it is.

A text that is nothing but `${name}` keeps the variable's own type. Secrets are read from the environment only by
`harness.model.secrets.reveal`, at the moment of use, so that neither a plan nor a journal ever holds one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.model.errors import ScenarioError, did_you_mean
from harness.model.scenario import Scalar
from harness.model.wording import written
from harness.runner.loading.explain import Place, Source

MOST_RUNS = 200
VERBATIM = ("schema", "scenario", "vars", "matrix")
"""Fields at the top in which nothing is filled in: they name the scenario and its variables."""

_REFERENCE = re.compile(r"\$\{([^{}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_SECRET = re.compile(r"secret:([A-Za-z_]\w*)")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_SPELLING = "write ${name} for a variable and ${secret:NAME} for a secret of the environment"


def parse_settings(given: Mapping[str, str] | tuple[str, ...]) -> dict[str, Scalar]:
    """Read `name=value` as given to --set; the value is a number or a truth value if it looks like one."""
    pairs = given.items() if isinstance(given, Mapping) else (_pair(text) for text in given)
    return {name: _scalar(value) for name, value in pairs}


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not _NAME.fullmatch(name):
        raise ScenarioError(f"{text!r} is not NAME=VALUE", field="--set", remedy="write --set name=value")
    return name, value


def _scalar(text: str) -> Scalar:
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text) and len(text) < 16:
        return float(text) if set(text) & set(".eE") else int(text)
    return text


def combinations(raw: Mapping[str, Any], source: Source, settings: Mapping[str, Scalar]) -> Iterator[dict[str, Scalar]]:
    """Yield the values of `matrix`, which `check_names` found good, for each run; none of them where there is none."""
    matrix = raw.get("matrix")
    if not matrix:
        yield {}
        return
    count = 1
    for name, values in matrix.items():
        _check_axis(name, values, raw, source)
        count *= 1 if name in settings else len(values)
    if count > MOST_RUNS:
        raise source.problem(("matrix",), f"the matrix makes {count} runs", f"the most is {MOST_RUNS}")
    axes = [[settings[name]] if name in settings else values for name, values in matrix.items()]
    for chosen in itertools.product(*axes):
        yield dict(zip(matrix, chosen, strict=True))


def _check_axis(name: str, values: list[Any], raw: Mapping[str, Any], source: Source) -> None:
    place = ("matrix", name)
    if not values:
        raise source.problem(place, f"{name!r} has no values", "at least one is needed here")
    if name in (raw.get("vars") or {}):
        line = source.line(("vars", name))
        raise source.problem(place, f"{name!r} is also in vars, on line {line}", "keep it in one of the two")
    texts = [str(value) for value in values]
    for index, text in enumerate(texts):
        if text in texts[:index]:
            raise source.problem((*place, index), f"{text!r} is listed twice", "each value makes its own run")


def check_names(raw: Mapping[str, Any], source: Source) -> list[ScenarioError]:
    """Return the problems of the names and values of the variables themselves."""
    found = []
    for field in ("vars", "matrix"):
        block = raw.get(field)
        if block is not None and not isinstance(block, dict):
            found.append(source.problem((field,), f"a mapping of names is needed here, not {written(block)}"))
            continue
        for name, value in (block or {}).items():
            if field == "matrix" and not isinstance(value, list):
                found.append(source.problem((field, name), f"a list is needed here, not {written(value)}"))
            if not _NAME.fullmatch(name):
                remedy = "use letters, digits, '_' and '-', and begin with a letter"
                found.append(source.problem((field, name), f"{name!r} is not a name of a variable", remedy))
            for text in value if isinstance(value, list) else [value]:
                inner = isinstance(text, str) and [m for m in _REFERENCE.finditer(text) if not _is_secret(m)]
                if inner:
                    message = f"a variable cannot refer to other variables, as in {text!r}"
                    found.append(source.problem((field, name), message, "write the value out"))
    return found


def _is_secret(match: re.Match[str]) -> bool:
    return bool(match[2]) and _SECRET.fullmatch(match[1]) is not None


def fill(
    value: Any, values: Mapping[str, Scalar], source: Source, report: Callable[[ScenarioError], None], place: Place = ()
) -> Any:
    """Return the value with its variables filled in, all the way down; what cannot be filled in is reported."""
    if isinstance(value, dict):
        return {k: fill(v, values, source, report, (*place, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(item, values, source, report, (*place, index)) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole and whole[2] and whole[1] in values:
        return values[whole[1]]

    def found(match: re.Match[str]) -> str:
        if _is_secret(match):
            return match[0]
        if not match[2] or not _NAME.fullmatch(match[1]):
            report(source.problem(place, f"{match[0]!r} is not a variable", _SPELLING))
            return match[0]
        if match[1] not in values:
            remedy = did_you_mean(match[1], values) if values else "this scenario has no vars"
            report(source.problem(place, f"unknown variable {match[1]!r}", remedy))
            return match[0]
        return as_text(values[match[1]])

    return _REFERENCE.sub(found, value)


def as_text(value: Scalar) -> str:
    """Return a value as it is written in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
