"""Rows of vectors written as text, ``[0.5,-0.25,...]``, read by a compiled loop.

Reading digits one by one costs more than anything else that an import does. The ends of numbers are therefore looked
for in eight characters at a time, and numbers whose ends are known are read as two words each, without a branch and
without waiting for the number before: in little more than half the time. Places in the text are made unsigned where
they are used, which saves the test for places counted from the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["BAD_COLUMNS", "BAD_NUMBER", "BAD_VECTOR", "OK", "ParsedRows", "parse_rows", "parse_text"]

OK, BAD_COLUMNS, BAD_NUMBER, BAD_VECTOR = 0, 1, 2, 3

TAB, NEWLINE, COMMA, DOT, MINUS, PLUS, OPEN, CLOSE, ZERO = (ord(c) for c in "\t\n,.-+[]0")
EXPONENT, BIG_EXPONENT = ord("e"), ord("E")
TENS = 10.0 ** np.arange(23)
"""The powers of ten that float64 holds exactly: a number of up to 15 digits times or over one of them is the nearest
float64 to its text, and from there the nearest float16."""
MAX_DIGITS = 18
MOST_DECIMALS = 16
MAX_EXPONENT = 400
SHORTEST_ROW = len("1\t1\t1\t[]\n")

# The same byte eight times over, and the multipliers that add neighbouring digits, pairs and fours of them.
ZEROS, ABOVE_NINE, HIGHEST = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x76, 0x80))
PAIRS = np.uint64(0x000000FF000000FF)
FIRST_AND_THIRD, SECOND_AND_FOURTH = np.uint64(100 + (1000000 << 32)), np.uint64(1 + (10000 << 32))
ONE, THREE, SEVEN, EIGHT, TEN, SIXTEEN, HALF_WORD, LAST_BIT = (np.uint64(n) for n in (1, 3, 7, 8, 10, 16, 32, 63))
LOWER, COMMAS, CLOSES = (np.uint64(byte * 0x0101010101010101) for byte in (0x7F, COMMA ^ ZERO, CLOSE ^ ZERO))
WHOLE_TENS = 10 ** np.arange(9, dtype="uint64")


@njit(inline="always")
def _eight(words, i):  # type: ignore[no-untyped-def]
    """Return the eight characters from the `i`-th on, the first in the lowest byte, less those of eight zeros."""
    at = np.uint64(i)
    word = at >> THREE
    shift = (at & SEVEN) << THREE
    # Two shifts: a word shifted by its own width would be left as it is.
    return ((words[word] >> shift) | ((words[word + ONE] << ONE) << (LAST_BIT - shift))) ^ ZEROS


@intrinsic
def _zeros_below(typing_context, word):  # type: ignore[no-untyped-def]
    """Count the zero bits below the lowest one of a word that is not zero."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.uint64(types.uint64), build


@njit(inline="always")
def _zero_bytes(word):  # type: ignore[no-untyped-def]
    """Return a word with the highest bit of each byte that is zero."""
    return ~(((word & LOWER) + LOWER) | word | LOWER)


@njit(inline="always")
def _ends(eight):  # type: ignore[no-untyped-def]
    """Return a word with the highest bit of each of eight characters that is a comma or a closing bracket."""
    return _zero_bytes(eight ^ COMMAS) | _zero_bytes(eight ^ CLOSES)


@njit(inline="always")
def _first(eight, digits):  # type: ignore[no-untyped-def]
    """Move the first characters to the end of eight, behind zeros; what followed them is gone."""
    # Two shifts: a word shifted by its own width would be left as it is.
    half = np.uint64(8 - digits) << np.uint64(2)
    return (eight << half) << half


@njit(inline="always")
def _value(eight):  # type: ignore[no-untyped-def]
    """Return the number that eight digits make."""
    pairs = eight * TEN + (eight >> EIGHT)
    return ((pairs & PAIRS) * FIRST_AND_THIRD + ((pairs >> SIXTEEN) & PAIRS) * SECOND_AND_FOURTH) >> HALF_WORD


@njit(inline="always")
def _integer(text, i):  # type: ignore[no-untyped-def]
    """Read one integer of 0 or more at `i`; return it and where it ends."""
    value = np.int64(0)
    begin = i
    while 0 <= np.int64(text[np.uint64(i)]) - ZERO <= 9 and i - begin < 18:
        value = value * 10 + np.int64(text[np.uint64(i)]) - ZERO
        i += 1
    return value, i


@njit(inline="always")
def _number(text, i):  # type: ignore[no-untyped-def]
    """Read one decimal number at `i`; return it and where it ends, or `i` itself where there is none."""
    begin = i
    negative = text[np.uint64(i)] == MINUS
    # No branch: signs are as good as random, and every wrong guess of the processor costs more than a number.
    i += np.int64(negative)
    if text[np.uint64(i)] == PLUS and not negative:
        i += 1
    first = i
    mantissa = np.uint64(0)
    digit = np.uint8(text[np.uint64(i)] - ZERO)
    while digit <= 9:
        mantissa = mantissa * TEN + np.uint64(digit)
        i += 1
        digit = np.uint8(text[np.uint64(i)] - ZERO)
    digits = i - first
    scale = 0
    if text[np.uint64(i)] == DOT:
        i += 1
        after_dot = i
        digit = np.uint8(text[np.uint64(i)] - ZERO)
        while digit <= 9:
            mantissa = mantissa * TEN + np.uint64(digit)
            i += 1
            digit = np.uint8(text[np.uint64(i)] - ZERO)
        scale = after_dot - i
        digits -= scale
    # More digits than a half or a float is ever written with would overflow the sum.
    if digits == 0 or digits > MAX_DIGITS:
        return 0.0, begin
    if text[np.uint64(i)] == EXPONENT or text[np.uint64(i)] == BIG_EXPONENT:
        down = text[np.uint64(i + 1)] == MINUS
        i += 2 if down or text[np.uint64(i + 1)] == PLUS else 1
        exponent, end = _integer(text, i)
        if end == i or exponent > MAX_EXPONENT:
            return 0.0, begin
        scale += -exponent if down else exponent
        i = end
    value = np.float64(np.int64(mantissa))
    if -23 < scale <= 0:
        value /= TENS[np.uint64(-scale)]
    elif mantissa != 0:
        value *= 10.0**scale
    return (-value if negative else value), i


@njit(nogil=True, error_model="numpy")
def _find_ends(text, words, at, n, ends):  # type: ignore[no-untyped-def]
    """Find where the numbers of a vector end that begins at `at`; return how many there are, 0 if it does not end."""
    count = 0
    while at < n:
        found = _ends(_eight(words, at))
        while found != 0:
            end = at + np.int64(_zeros_below(found) >> THREE)
            ends[np.uint64(count)] = end
            count += 1
            if text[np.uint64(end)] == CLOSE:
                return count
            found &= found - ONE
        at += 8
    return 0


@njit(nogil=True, error_model="numpy")
def _read_decimals(text, words, start, ends, count, values, odd):  # type: ignore[no-untyped-def]
    """Read numbers such as ``-0.25`` between known ends; note the `odd` ones, which are of another form."""
    for j in range(count):
        end = ends[np.uint64(j)]
        negative = text[np.uint64(start)] == MINUS
        first = start + np.int64(negative)
        decimals = end - first - 2
        few, more = min(max(decimals, 0), 8), min(max(decimals - 8, 0), 8)
        whole = np.uint64(np.uint8(text[np.uint64(first)] - ZERO))
        high, low = _first(_eight(words, first + 2), few), _first(_eight(words, first + 10), more)
        # A sum that carries into the next character comes from one that is no digit itself.
        strange = ((high + ABOVE_NINE) | high | (low + ABOVE_NINE) | low) & HIGHEST
        formed = (text[np.uint64(first + 1)] == DOT) & (decimals > 0) & (decimals <= MOST_DECIMALS) & (whole <= 9)
        odd[np.uint64(j)] = (strange != 0) | (not formed)
        mantissa = (whole * WHOLE_TENS[np.uint64(few)] + _value(high)) * WHOLE_TENS[np.uint64(more)] + _value(low)
        value = np.float64(np.int64(mantissa)) / TENS[np.uint64(few + more)]
        values[np.uint64(j)] = -value if negative else value
        start = end + 1


@njit(nogil=True, cache=True, error_model="numpy")
def parse_rows(text, words, n, columns, places, keys, starts, values):  # type: ignore[no-untyped-def]
    """Read the rows of a table that holds a vector.

    Parameters
    ----------
    text : uint8 array
        Whole lines, and 16 bytes or more behind the last line's end.
    words : uint64 array
        The same memory, eight bytes at a time, little-endian.
    n : int
        Bytes of the lines.
    columns : int
        Columns of a row.
    places : int64 array, shape (4,)
        Which of them are the three integers, in the order of `keys`, and the vector.
    keys : int64 array, shape (rows, 3)
        Filled with the integers.
    starts : int64 array, shape (rows + 1,)
        Filled with where in `values` the vector of each row begins, and the last one ends.
    values : float32 array
        Filled with the numbers; half as many as there are bytes are enough.

    Returns
    -------
    row, problem : int
        The number of rows and `OK`, or the row at which reading stopped and why.
    largest : float
        The largest absolute number.
    """
    i = 0
    row = 0
    count = 0
    largest = np.float32(0)
    ends, odd = np.empty(len(values), np.int64), np.empty(len(values), np.bool_)
    while i < n:
        starts[row] = count
        for column in range(columns):
            if column == places[3]:
                if text[np.uint64(i)] != OPEN:
                    return row, BAD_VECTOR, largest
                numbers = _find_ends(text, words, i + 1, n, ends)
                if numbers == 0:
                    return row, BAD_VECTOR, largest
                here = values[count : count + numbers]
                _read_decimals(text, words, i + 1, ends, numbers, here, odd)
                i += 1
                for j in range(numbers):
                    if odd[j]:
                        value, stop = _number(text, i)
                        if stop == i or stop != ends[j]:
                            return row, BAD_VECTOR, largest
                        here[j] = value
                    size = abs(here[j])
                    # Not `max`, which also asks for NaN: no text is one.
                    if size > largest:
                        largest = size
                    i = ends[j] + 1
                count += numbers
            elif column == places[0] or column == places[1] or column == places[2]:
                value, end = _integer(text, i)
                if end == i:
                    return row, BAD_NUMBER, largest
                for k in range(3):
                    if column == places[k]:
                        keys[row, k] = value
                i = end
            else:
                while text[np.uint64(i)] != TAB and text[np.uint64(i)] != NEWLINE:
                    i += 1
            if text[np.uint64(i)] != (NEWLINE if column == columns - 1 else TAB):
                return row, BAD_COLUMNS, largest
            i += 1
        row += 1
    starts[row] = count
    return row, OK, largest


@dataclass(frozen=True)
class ParsedRows:
    """What a block of text holds; the arguments and results of `parse_rows`."""

    rows: int
    problem: int
    largest: float
    keys: np.ndarray
    starts: np.ndarray
    values: np.ndarray


def parse_text(text: bytes, columns: int, places: np.ndarray) -> ParsedRows:
    """Read whole lines; as `parse_rows`.

    Examples
    --------
    >>> parsed = parse_text(b"12\\t3\\t0\\t[0.5,-2e-1]\\n", 4, np.arange(4))
    >>> parsed.rows, parsed.keys.tolist(), parsed.values.tolist()
    (1, [[12, 3, 0]], [0.5, -0.2...])
    """
    n = len(text)
    words = np.empty(n // 8 + 3, "<u8")
    padded = words.view("uint8")
    padded[:n] = np.frombuffer(text, "uint8")
    padded[n:] = 0
    # Upper bounds: memory that is not written costs nothing.
    most_rows = n // SHORTEST_ROW + 1
    keys, starts = np.empty((most_rows, 3), "int64"), np.empty(most_rows + 1, "int64")
    values = np.empty(n // 2 + 1, "float32")
    rows, problem, largest = parse_rows(padded, words, n, columns, places, keys, starts, values)
    return ParsedRows(rows, problem, largest, keys[:rows], starts[: rows + 1], values[: starts[rows]])
