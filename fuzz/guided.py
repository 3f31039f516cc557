"""One parser under atheris, which keeps what reaches new lines of it.

    python -m fuzz.guided NAME FOLDER [options of libFuzzer]

FOLDER gets the seeds and what was found; a file there that broke the promise is named `crash-...`,
`timeout-...` or `oom-...`, and `python -m fuzz.guided NAME FOLDER FILE` reads it again.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from random import Random


def main(name: str, folder: Path, options: list[str]) -> None:
    """Try for as long as the options say; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["pleinair", "zipfile", "tomllib"]):
        from fuzz.promise import outcome
        from fuzz.targets import TARGETS
    target = TARGETS[name]
    logging.disable()  # of the parser of forms, for each of millions
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    largest = max(len(seed) for seed in target.seeds())

    def try_one(data: bytes) -> None:
        outcome(target, data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if target.words and random.random() < 0.3:
            at = random.randrange(len(data) + 1)
            word = random.choice(target.words)
            data = data[:at] + word + data[at + random.randrange(8) :]
            data = data[:most]
        else:
            data = atheris.Mutate(data, most)
        # Now and then checksums stay wrong, so that what finds them is tried, too.
        return target.mended(data)[:most] if random.random() < 0.9 else data

    files = [option for option in options if not option.startswith("-")]
    flags = [
        f"-max_len={max(target.longest, largest + 100)}",
        "-timeout=25",  # seconds
        "-rss_limit_mb=4096",
        f"-artifact_prefix={folder}/",
        *(option for option in options if option.startswith("-")),
    ]
    argv = [sys.argv[0], *flags, *(files or [str(corpus)])]
    atheris.Setup(argv, try_one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
