"""No import cycle anywhere in the code, imports for type checkers and imports inside functions included.

A cycle makes one module of all that are in it: none can be read, tested or replaced without the others. Breaking one
takes a protocol, passing what is needed, or merging what is one thing, but never hiding the import.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"harness": ROOT / "harness", "refstack": ROOT / "compose" / "refstack"}


def modules() -> dict[str, Path]:
    """Every module's dotted name, and its file."""
    found = {}
    for package, folder in SOURCES.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, source: str, *, is_package: bool, known: Mapping[str, object]) -> Iterator[str]:
    """The modules among `known` that a module imports, wherever in its text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                package = parts[: len(parts) - node.level + is_package]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:  # of a package's names, some are modules of it
                target = f"{base}.{alias.name}"
                if target in known:
                    yield target
                elif base in known:
                    yield base


def cycle(graph: Mapping[str, set[str]]) -> list[str] | None:
    """The path of one cycle, its first module repeated at the end; None if there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        path: list[str] = []
        pending = [(start, iter([start]))]
        while pending:
            _, following = pending[-1]
            module = next((one for one in following if one not in done), None)
            if module is None:
                pending.pop()
                if path:
                    done.add(path.pop())
            elif module in path:
                return [*path[path.index(module) :], module]
            else:
                path.append(module)
                pending.append((module, iter(sorted(graph[module]))))
    return None


def import_graph() -> dict[str, set[str]]:
    files = modules()
    return {
        name: set(imported(name, path.read_text(), is_package=path.name == "__init__.py", known=files))
        for name, path in files.items()
    }


def test_no_module_imports_itself_through_others() -> None:
    found = cycle(import_graph())
    assert found is None, "import cycle: " + " -> ".join(found)


def test_a_cycle_is_found_however_it_is_written() -> None:
    texts = {
        "p": "",
        "p.a": "from p import b",
        "p.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .q import thing",
        "p.q": "from .c import C",
        "p.q.c": "def f():\n    import p.a",
        "p.alone": "import p.a, os",
    }
    graph = {
        name: set(imported(name, text, is_package=name in ("p", "p.q"), known=texts)) for name, text in texts.items()
    }
    assert graph["p.alone"] == {"p.a"}
    assert cycle(graph) == ["p.a", "p.b", "p.q", "p.q.c", "p.a"]
    graph["p.q.c"] = set()
    assert cycle(graph) is None
