"""One target under atheris, in this process: `python -m torture.fuzz.covered TARGET STATUS ...`.

What follows is for libFuzzer: its options, and the folder of its corpus. It ends the process.
"""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(
    include=["netstab", "tarfile", "zipfile", "ruamel", "PIL", "gzip", "lzma", "bz2", "csv"]
):
    from torture.fuzz.bounds import MOST_BYTES, Tally, judge
    from torture.fuzz.targets import TARGETS

FRESH = 0.3
"""Share of inputs that are made anew, with faults that fit their kind; the rest are mutations."""


def main() -> None:
    """Feed inputs until libFuzzer has had enough; what came out is in the status file."""
    name, status = sys.argv[1], Path(sys.argv[2])
    target, tally = TARGETS[name], Tally()
    target.make(Random(0))  # what is made once is made before any guard
    folder = Path(tempfile.mkdtemp(prefix="netstab-fuzz-")) / "input"

    def once(content: bytes) -> None:
        judge(target, content, folder, tally)
        if tally.inputs % 20 == 0:
            told = asdict(tally) | {
                "findings": {wrong: found.hex() for wrong, found in tally.findings.items()}
            }
            status.write_text(json.dumps(told), encoding="utf-8")

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < FRESH:
            made = target.make(random)
            if len(made) <= most:
                return made
        return bytes(atheris.Mutate(content, most))

    options = [sys.argv[0], *sys.argv[3:], f"-max_len={MOST_BYTES}"]
    atheris.Setup(options, once, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
