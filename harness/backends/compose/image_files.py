"""Images in a file, for an engine that reaches no registry: written by one engine, read by another.

The file is that of `docker save`, with the names of the images in it, so either command reads what the other wrote.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.backends.compose.engine import engine_errors
from harness.model.errors import BackendError

SAVE_S = LOAD_S = 1800.0
"""How long the engine may be silent: it puts an image together before it sends the first byte."""
_CHUNK_BYTES = 1 << 20


def save_images(client: Any, names: Sequence[str], file: Path) -> int:
    """Write images to a file; how many bytes it has. Blocks. Raises BackendError, and leaves no part of a file."""
    part = file.with_name(f"{file.name}.part")
    try:
        with engine_errors(f"the images could not be saved to {file}"):
            url = f"{client.api.base_url}/v{client.api.api_version}/images/get"
            with client.api.get(url, params={"names": list(names)}, stream=True, timeout=SAVE_S) as response:
                _check(response)
                with part.open("wb") as out:
                    for chunk in response.iter_content(_CHUNK_BYTES):
                        out.write(chunk)
        part.replace(file)
    except OSError as error:
        raise BackendError(f"the images could not be written: {error.strerror or error}", file=str(file)) from error
    finally:
        part.unlink(missing_ok=True)
    return file.stat().st_size


def load_images(client: Any, file: Path) -> list[str]:
    """Have the engine read a file of images. Returns their names. Blocks. Raises BackendError."""
    try:
        with file.open("rb") as content, engine_errors(f"the images could not be loaded from {file}"):
            url = f"{client.api.base_url}/v{client.api.api_version}/images/load"
            with client.api.post(url, data=content, params={"quiet": "1"}, stream=True, timeout=LOAD_S) as response:
                _check(response)
                lines = [json.loads(line) for line in response.iter_lines() if line.strip()]
    except OSError as error:
        raise BackendError(f"the images could not be read: {error.strerror or error}", file=str(file)) from error
    except ValueError as error:
        raise BackendError(f"the engine's answer is not understood: {error}", file=str(file)) from error
    wrong = next((str(line["error"]) for line in lines if "error" in line), None)
    if wrong is not None:
        raise BackendError(f"it is no file of images that the engine can read: {wrong}", file=str(file))
    told = "".join(str(line.get("stream", "")) for line in lines)
    return [line.partition(": ")[2] for line in told.splitlines() if line.startswith("Loaded image")]


def _check(response: Any) -> None:
    if response.status_code >= 400:
        try:
            why = str(response.json()["message"])
        except (ValueError, KeyError, TypeError):
            why = f"status {response.status_code}"
        raise BackendError(f"the engine refuses: {why}")
