"""Valid files made wrong, as disks, networks, editors and attackers do it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

__all__ = ["mutated"]

TOKENS = [
    b'', b'\x00', b'\xff\xfe', b'\xef\xbb\xbf', b'\n', b'\r\n', b'\t', b'\x0b\x1c\x85', b'\xe2\x80\xa8', b'\x1b[2J',
    b'-1', b'0', b'1', b'NaN', b'inf', b'-inf', b'1e999', b'2147483648', b'18446744073709551616', b"9" * 400,
    b"A" * 70000, b'../../x', b'/etc/passwd', b'A/B', b"=cmd()|' /C calc'!A0", b'%n%s', b'<script>alert(1)</script>',
    b'NA', b'null', b'true', b'{', b'}', b'[', b']', b'"', b"'", b'\\', b"!!python/object/apply:os.system ['x']",
    b'&a [*a, *a]', b'*a', b': ', b'- ', b'>', b'!', b'|', b'#', b'\xc3\xa9\xf0\x9f\xa7\xac', b'\xed\xa0\x80',
    b'GO:0008150', b'GO:', b'taxon:9606', b'id: ', b'[Term]\n', b'is_a: ', b'\t|\t', b'PGDMP', b'\x93NUMPY',
    b'PK\x03\x04', b'\x89HDF\r\n\x1a\n', b'\x1f\x8b\x08', b'\\N', b'\\.\n', b"b'x'", b'|O', b'\xd9\xa3',
]  # fmt: skip
NUMBER = re.compile(rb"-?\d+")


def _place(data: bytes, rng: random.Random) -> tuple[int, int]:
    """Draw a span; short ones and ones near the beginning, where headers are, come more often."""
    n = len(data)
    start = rng.randrange(min(n, 600)) if n and rng.random() < 0.4 else rng.randrange(n + 1)
    return start, min(n, start + (rng.randrange(1, 9) if rng.random() < 0.7 else rng.randrange(n + 1)))


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if changed:
            changed[_place(data, rng)[0] % len(changed)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    start, stop = _place(data, rng)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def _extreme_bytes(data: bytes, rng: random.Random) -> bytes:
    start, _ = _place(data, rng)
    size = rng.choice([1, 2, 4, 8])
    value = rng.choice(
        [b"\0" * size, b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"\xff" * (size - 1) + b"\x7f", b"\x80"]
    )
    return data[:start] + value + data[start + len(value) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    start, _ = _place(data, rng)
    return data[:start] + rng.choice(TOKENS) + data[start:]


def _replace_number(data: bytes, rng: random.Random) -> bytes:
    numbers = list(NUMBER.finditer(data[:20_000]))
    if not numbers:
        return _insert(data, rng)
    found = rng.choice(numbers)
    return data[: found.start()] + rng.choice(TOKENS) + data[found.end() :]


def _delete(data: bytes, rng: random.Random) -> bytes:
    start, stop = _place(data, rng)
    return data[:start] + data[stop:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, stop = _place(data, rng)
    return data[:stop] + data[start:stop] * rng.choice([1, 1, 2, 50]) + data[stop:]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _swap(data: bytes, rng: random.Random) -> bytes:
    """Exchange two pieces between separators: fields of a line, lines of a file."""
    separator = rng.choice([b"\n", b"\t", b" ", b",", b":"])
    pieces = data.split(separator)
    i, j = rng.randrange(len(pieces)), rng.randrange(len(pieces))
    pieces[i], pieces[j] = pieces[j], pieces[i]
    return separator.join(pieces)


def _drop_or_double_piece(data: bytes, rng: random.Random) -> bytes:
    separator = rng.choice([b"\n", b"\t", b",", b" "])
    pieces = data.split(separator)
    i = rng.randrange(len(pieces))
    pieces[i : i + 1] = [pieces[i]] * rng.choice([0, 2, 3])
    return separator.join(pieces)


def _replace_piece(data: bytes, rng: random.Random) -> bytes:
    separator = rng.choice([b"\n", b"\t", b",", b": "])
    pieces = data.split(separator)
    pieces[rng.randrange(len(pieces))] = rng.choice(TOKENS)
    return separator.join(pieces)


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip_bits, _overwrite, _extreme_bytes, _insert, _replace_number, _delete, _repeat, _truncate, _swap,
    _drop_or_double_piece, _replace_piece,
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return a file with one to four things wrong with it; rarely with none, or with everything."""
    if rng.random() < 0.01:
        return rng.randbytes(rng.randrange(2000))
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 2, 3, 4])):
        data = rng.choice(MUTATIONS)(data, rng)
    return data
