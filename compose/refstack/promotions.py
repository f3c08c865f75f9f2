"""Versions and the promotion pointer: pure state, kept as one JSON object, with its full history."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


class PromotionError(Exception):
    """The request contradicts what the registry knows."""


@dataclass(frozen=True)
class Version:
    version: int
    digest: str
    parent: int | None
    trained_until: int
    examples: int


@dataclass
class PromotionHistory:
    seq: int = 0
    promoted: int | None = None
    versions: dict[int, Version] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def _log(self, version: Version, action: str, at_event: int, reason: str | None) -> None:
        self.seq += 1
        self.history.append(
            {
                "seq": self.seq,
                "version": version.version,
                "digest": version.digest,
                "action": action,
                "at_event": at_event,
                "reason": reason,
            }
        )

    @property
    def next_version(self) -> int:
        return max([0, *self.versions, *self.refused]) + 1

    def known(self, offered: Version) -> bool:
        """Whether this very version has been decided on; another one under its number is an error."""
        if (known := self.versions.get(offered.version)) is not None:
            if known.digest != offered.digest:
                raise PromotionError(f"version {offered.version} is {known.digest}")
            return True
        return offered.version in self.refused

    def decide(self, offered: Version, refusal: str | None, at_event: int) -> bool:
        if self.known(offered):
            return offered.version in self.versions
        if refusal is None and offered.parent != self.promoted:
            refusal = f"made from version {offered.parent}, but {self.promoted} is promoted"
        if refusal is not None:
            self.refused[offered.version] = refusal
            self._log(offered, "reject", at_event, refusal)
            return False
        self.versions[offered.version] = offered
        self.promoted = offered.version
        self._log(offered, "promote", at_event, None)
        return True

    def rollback(self, to: int | None, at_event: int, reason: str | None) -> Version:
        current = self.current
        target = current.parent if to is None else to
        if target is None or target not in self.versions:
            raise PromotionError(f"there is no version {target} to roll back to")
        self.promoted = target
        self._log(self.versions[target], "rollback", at_event, reason)
        return self.versions[target]

    @property
    def current(self) -> Version:
        if self.promoted is None:
            raise PromotionError("nothing is promoted")
        return self.versions[self.promoted]

    def pointer(self) -> dict[str, Any]:
        now = self.current
        return {
            "version": now.version,
            "digest": now.digest,
            "trained_until": now.trained_until,
            "seq": self.seq,
            "parent": now.parent,
            "promoted_at": self._promoted_at(),
        }

    def _promoted_at(self) -> int:
        return next(int(item["at_event"]) for item in reversed(self.history) if item["action"] != "reject")

    def dump(self) -> bytes:
        return json.dumps({**asdict(self), "versions": [asdict(v) for v in self.versions.values()]}).encode()

    @classmethod
    def load(cls, data: bytes) -> PromotionHistory:
        value = json.loads(data)
        return cls(
            seq=value["seq"],
            promoted=value["promoted"],
            versions={item["version"]: Version(**item) for item in value["versions"]},
            refused={int(key): reason for key, reason in value["refused"].items()},
            history=value["history"],
        )
