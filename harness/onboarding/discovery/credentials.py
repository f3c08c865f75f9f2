"""What a probe needs to be let in, as the compose files have it: never a value of its own, where that can be helped.

What a compose file says with a variable is taken over with the variable. What lies in an env file, which is often kept
out of version control, is named as `${secret:NAME}`: it is then read from the environment, and reaches no journal. Its
dollar sign is doubled, because compose fills in variables even in fields that are not its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.onboarding.discovery.compose_project import Project
from harness.onboarding.discovery.yamltext import literal

_PLAIN_YAML = (".yaml", ".yml")


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
        if Path(project.composed.tree.file_of(path)).suffix not in _PLAIN_YAML or written is None:
            return f"$${{secret:{key}}}"
        return str(written)
    return None


def written_texts(project: Project, service: str) -> Iterator[str]:
    """Yield every text of a service's environment and command as it stands in the compose files, with its variables."""
    tree = project.composed.tree
    base = ("services", service)
    for key in project.services[service].get("environment") or {}:
        path = (*base, "environment", key)
        value = project.written(path)
        if isinstance(value, str) and Path(tree.file_of(path)).suffix in _PLAIN_YAML:
            yield value
    for key in ("command", "entrypoint"):
        value = project.written((*base, key))
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str):
                yield word


def found_in(project: Project, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return every match in what is written of any service, in the order of the services."""
    texts = [text for service in project.services for text in written_texts(project, service)]
    return [match for text in texts for match in pattern.finditer(text)]
