"""Names of stacks that `harness up` keeps: one that is given, or one taken from the folder it is started in.

Such a name is that of a compose project, and can be typed again. It is only taken where the engine has nothing of a
project of that name: what is there belongs to somebody, and would be replaced, or removed with the stack.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.backends.compose.engine import engine_errors
from harness.backends.compose.labels import PROJECT, RUN, attached_run, attached_to
from harness.model.errors import ScenarioError

_LONGEST = 60
_NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{_LONGEST - 1}}}")
_FIELD = "--name"


def given_name(client: Any, name: str) -> str:
    """Return a name that somebody gave, if it can be used. Blocks. Raises ScenarioError."""
    if not _NAME.fullmatch(name) or attached_to(name) is not None:
        what = f"{name!r} cannot be the name of a stack of containers"
        remedy = f"lower-case letters, digits, '-' and '_', at most {_LONGEST}, without '-attached' at the end"
        raise ScenarioError(what, field=_FIELD, remedy=remedy)
    if _in_use(client, name):
        what = f"the engine has something of a compose project {name!r} already"
        remedy = f"`harness down {name}` removes it where `harness up` started it; else choose another name"
        raise ScenarioError(what, field=_FIELD, remedy=remedy)
    return name


def name_from_folder(client: Any, stack: str, folder: Path) -> str | None:
    """Return a name from a stack and a folder; None where that is in use, or is none. Blocks."""
    words = dict.fromkeys(re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") for text in (stack, folder.name))
    name = "-".join(["mlch", *filter(None, words)])
    if not _NAME.fullmatch(name) or attached_to(name) is not None or _in_use(client, name):
        return None
    return name


def _in_use(client: Any, name: str) -> bool:
    with engine_errors("the engine does not tell which names are in use"):
        for label in (f"{PROJECT}={name}", f"{RUN}={name}", f"{RUN}={attached_run(name)}"):
            mine = {"label": label}
            if client.api.containers(all=True, filters=mine) or client.api.networks(filters=mine):
                return True
            if client.api.volumes(filters=mine).get("Volumes"):
                return True
    return False
