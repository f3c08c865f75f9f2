"""One target under atheris, in a process of its own: `python -m tests.fuzz.child TARGET FOLDER [LIBFUZZER OPTIONS]`.

An exception does not end it: the input is kept in FOLDER/findings, once for each place that raises, and it goes on. An
input that takes too long or too much memory ends it, as libFuzzer does, which keeps that input.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from pathlib import Path

import atheris


def _place(error: BaseException) -> str:
    """Return what was raised, and where in the harness."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f"{os.sep}harness{os.sep}" in f.filename] or list(frames)
    return f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"


def main() -> None:
    """Fuzz until libFuzzer's limits end it."""
    name, folder, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["harness"]):
        from tests.fuzz.mutation import mutated
        from tests.fuzz.targets import TARGETS, run

    target, findings = TARGETS[name], Path(folder) / "findings"
    corpus = Path(folder) / "corpus"
    for made in (findings, corpus):
        made.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    if target.words:
        words = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
        (Path(folder) / "words.dict").write_text("".join(f'"{word}"\n' for word in words), "ascii")
        options.append(f"-dict={Path(folder) / 'words.dict'}")
    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            run(target, data)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            place = _place(error)
            if place in seen:
                return
            seen.add(place)
            kept = findings / hashlib.sha256(place.encode()).hexdigest()[:12]
            kept.write_bytes(data)
            kept.with_suffix(".txt").write_text(f"{place}\n{traceback.format_exc()}", "utf-8", "backslashreplace")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if seed % 4:
            return mutated(data, target.form, seed)[:most]
        return bytes(atheris.Mutate(data, most))

    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
