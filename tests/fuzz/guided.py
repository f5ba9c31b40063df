"""The same readers, fuzzed by coverage: atheris looks for the bytes that lead to code not yet reached.

    python tests/fuzz/guided.py TARGET -runs=20000 [CORPUS]

It ends with a traceback at the first finding, and leaves the input in a file that it names.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

try:
    import atheris
except ImportError:  # doctests are looked for here too
    atheris = None

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    with atheris.instrument_imports(include=["fantasia_dask"]):
        from targets import TARGETS, read_quietly

        from fantasia_dask.errors import InputError

        # The readers import what they need when they are called: here, where it is instrumented.
        name = sys.argv.pop(1)
        target, seeds = TARGETS[name], TARGETS[name].seeds()
        names = sorted(seeds)
        first = Path(tempfile.mkdtemp(prefix="fuzz-"))
        for seed, content in seeds.items():
            (first / seed).parent.mkdir(parents=True, exist_ok=True)
            (first / seed).write_bytes(content)
        read_quietly(target, first, names[0])
        shutil.rmtree(first)
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-corpus-"))
    for number, seed in enumerate(names):
        (corpus / str(number)).write_bytes(bytes([number % 256]) + seeds[seed])

    def one_input(data: bytes) -> None:
        # the first byte chooses which file is the wrong one
        wrong = names[data[0] % len(names)] if data else names[0]
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        with suppress(InputError):
            for other in names if target.together else [wrong]:
                path = folder / other
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data[1:] if other == wrong else seeds[other])
            read_quietly(target, folder, wrong)
        shutil.rmtree(folder, ignore_errors=True)

    longest = max(map(len, seeds.values())) + 2000
    limits = ["-timeout=10", "-rss_limit_mb=4000", f"-max_len={longest}"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
