"""One-token mutants of Python source: where in a file they are, what they change, and the text of the changed file.

Only what decides something is changed: no texts, no annotations (but the calls in them, which set bounds of fields), no
decorators, no assertions, nothing inside of an f-string.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Edit = tuple[str, int, int, bytes]
"""The operator, from which byte to which, and what comes there."""

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: (r"<", "<="),
    ast.LtE: (r"<=", "<"),
    ast.Gt: (r">", ">="),
    ast.GtE: (r">=", ">"),
    ast.Eq: (r"==", "!="),
    ast.NotEq: (r"!=", "=="),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: (r"-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: (r"/", "*"),
    ast.FloorDiv: (r"//", "/"),
    ast.BitOr: (r"\|", "&"),
    ast.BitAnd: (r"&", "|"),
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
OF_NO_VERDICT = {"description", "strict", "repr", "compare", "init", "alias", "defer_build"}
"""Arguments that no verdict depends on."""
AROUND = 60
"""How many characters are shown on either side of a change."""
LONGER, SHORTER = 1.5, 0.5
"""By what a number that is no whole one is multiplied."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file; `before` and `after` are the source text around it, in one line each."""

    file: str
    line: int
    last_line: int
    operator: str
    before: str
    after: str
    key: str
    """What names it wherever it is in the file: changes elsewhere leave it the same."""
    start: int
    end: int
    text: bytes

    def applied(self, source: bytes) -> bytes:
        """Return the changed file."""
        return source[: self.start] + self.text + source[self.end :]

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


def mutants(source: bytes, file: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of their places. Raises SyntaxError where it is no Python."""
    text = _Source(source)
    found: list[Mutant] = []
    seen: Counter[tuple[str, ...]] = Counter()
    edits = sorted((edit, scope) for scope, edit in _edits(ast.parse(source), text))
    for (operator, start, end, changed), scope in edits:
        line, last_line = text.line_of(start), text.line_of(end)
        before, after = text.around(start, end, text.raw[start:end]), text.around(start, end, changed)
        name = (file, scope, operator, before, after)
        seen[name] += 1
        key = "\0".join((*name, str(seen[name])))
        found.append(Mutant(file, line, last_line, operator, before, after, key, start, end, changed))
    return sorted(found, key=lambda one: (one.start, one.end, one.text))


def sample(found: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return so many mutants by chance, in the order of files. Which ones depends on the seed and on each alone."""
    drawn = sorted(found, key=lambda one: hashlib.sha256(f"{seed}\0{one.key}".encode()).digest())[:size]
    return sorted(drawn, key=lambda one: (one.file, one.start, one.text))


class _Source:
    """The bytes of a file, and the places of nodes in them."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._starts = [0, *(match.end() for match in re.finditer(rb"\n", raw))]

    def at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def line_of(self, at: int) -> int:
        return self.raw.count(b"\n", 0, at) + 1

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self.at(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.end_lineno, node.end_col_offset)

    def token(self, pattern: str, after: int, before: int) -> tuple[int, int] | None:
        """Return where the first such token between two places is, outside of comments."""
        code = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), self.raw[after:before])
        found = re.search(pattern.encode(), code)
        return (after + found.start(), after + found.end()) if found else None

    def around(self, start: int, end: int, text: bytes) -> str:
        """Return what is around a stretch with that text in its place, as one line."""
        first, last = self.raw.rfind(b"\n", 0, start) + 1, self.raw.find(b"\n", end)
        lead = self.raw[first:start].decode()[-AROUND:]
        tail = self.raw[end : last if last >= 0 else len(self.raw)].decode()[:AROUND]
        return " ".join(f"{lead}{text.decode()}{tail}".split())


def _edits(tree: ast.Module, text: _Source) -> Iterator[tuple[str, Edit]]:
    yield from (edit for node in tree.body for edit in _below(node, text, ""))


def _below(node: ast.AST, text: _Source, scope: str) -> Iterator[tuple[str, Edit]]:
    """Yield every edit in a node and below it, with the name of the class or function that it is in."""
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.MatchValue | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}"
    yield from ((scope, edit) for edit in _of(node, text, bool(scope)))
    for name, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for child in children:
            if not isinstance(child, ast.AST) or name == "decorator_list":
                continue
            if isinstance(child, ast.keyword) and child.arg in OF_NO_VERDICT:
                continue
            if name in ("annotation", "returns"):
                for call in (part for part in ast.walk(child) if isinstance(part, ast.Call)):
                    yield from _below(call, text, scope)
            else:
                yield from _below(child, text, scope)


def _of(node: ast.AST, text: _Source, in_scope: bool) -> Iterator[Edit]:
    """Yield the edits of one node."""
    match node:
        case ast.Compare():
            yield from _comparisons(node, text)
        case ast.BoolOp():
            yield _and_or(node, text)
        case ast.UnaryOp(op=ast.Not()):
            start = text.start(node)
            yield "not", start, start + len("not"), b""
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", text.start(node), text.start(node) + 1, b""
        case ast.BinOp(left=left, right=right) if in_scope and not _is_text(left) and not _is_text(right):
            yield from _arithmetic(type(node.op), text.end(left), text.start(right), text)
        case ast.AugAssign(target=target, value=value) if not _is_text(value):
            yield from _arithmetic(type(node.op), text.end(target), text.start(value), text)
        case ast.Constant(value=value):
            yield from (
                ("constant", text.start(node), text.end(node), repr(other).encode()) for other in _others(value)
            )
        case ast.Call(func=ast.Name(id=name) as called) if name in CALLS:
            yield "call", text.start(called), text.end(called), CALLS[name].encode()
        case ast.If(body=[*_, ast.Return() | ast.Continue() | ast.Break() | ast.Raise() as last], orelse=[]):
            yield "early exit", text.start(last), text.end(last), b"pass"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            swapped = ast.IfExp(test, orelse, body)
            yield "if else", text.start(node), text.end(node), f"({ast.unparse(swapped)})".encode()
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from _filters(node, text)


def _comparisons(node: ast.Compare, text: _Source) -> Iterator[Edit]:
    sides = [node.left, *node.comparators]
    for op, left, right in zip(node.ops, sides, sides[1:], strict=False):
        pattern, other = COMPARISONS[type(op)]
        place = text.token(pattern, text.end(left), text.start(right))
        if place is not None:
            yield "comparison", *place, other.encode()


def _and_or(node: ast.BoolOp, text: _Source) -> Edit:
    word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    start, end = text.end(node.values[0]), text.start(node.values[-1])
    changed, at = b"", start
    for left, right in zip(node.values, node.values[1:], strict=False):
        place = text.token(rf"\b{word}\b", text.end(left), text.start(right))
        assert place is not None
        changed += text.raw[at : place[0]] + other.encode()
        at = place[1]
    return "and or", start, end, changed + text.raw[at:end]


def _arithmetic(op: type[ast.operator], after: int, before: int, text: _Source) -> Iterator[Edit]:
    if op in ARITHMETIC:
        pattern, other = ARITHMETIC[op]
        place = text.token(pattern, after, before)
        if place is not None:
            yield "arithmetic", *place, other.encode()


def _filters(node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, text: _Source) -> Iterator[Edit]:
    """Yield the comprehension without each of its conditions."""
    for generator in node.generators:
        for k, condition in enumerate(generator.ifs):
            del generator.ifs[k]
            changed = ast.unparse(node).encode()
            generator.ifs.insert(k, condition)
            yield "filter", text.start(node), text.end(node), changed


def _others(value: object) -> tuple[object, ...]:
    """Return what stands in for a constant."""
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float):
        return (value * LONGER, value * SHORTER) if value else (1.0,)
    return ()


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
