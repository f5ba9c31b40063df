"""Rows of vectors written as text, ``[0.5,-0.25,...]``, read by a compiled loop."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["BAD_COLUMNS", "BAD_NUMBER", "BAD_VECTOR", "OK", "parse_rows"]

OK, BAD_COLUMNS, BAD_NUMBER, BAD_VECTOR = 0, 1, 2, 3

TAB, NEWLINE, COMMA, DOT, MINUS, PLUS, OPEN, CLOSE, ZERO = (ord(c) for c in "\t\n,.-+[]0")
EXPONENT, BIG_EXPONENT = ord("e"), ord("E")
TENS = 10.0 ** np.arange(23)
"""The powers of ten that float64 holds exactly: a number of up to 15 digits times or over one of them is the nearest
float64 to its text, and from there the nearest float16."""
MAX_DIGITS = 18
MAX_EXPONENT = 400


@njit(nogil=True, cache=True)
def _integer(text, i):  # type: ignore[no-untyped-def]
    """Read one integer of 0 or more at `i`; return it and where it ends."""
    value = np.int64(0)
    begin = i
    while 0 <= np.int64(text[i]) - ZERO <= 9 and i - begin < 18:
        value = value * 10 + np.int64(text[i]) - ZERO
        i += 1
    return value, i


@njit(nogil=True, cache=True)
def _digit(text, i):  # type: ignore[no-untyped-def]
    """Return the digit at `i`; above 9 where there is none."""
    return np.uint8(text[i] - np.uint8(ZERO))


@njit(nogil=True, cache=True)
def _number(text, i):  # type: ignore[no-untyped-def]
    """Read one decimal number at `i`; return it and where it ends, or `i` itself where there is none."""
    begin = i
    negative = text[i] == MINUS
    if negative or text[i] == PLUS:
        i += 1
    first = i
    mantissa = np.int64(0)
    digit = _digit(text, i)
    while digit <= 9:
        mantissa = mantissa * 10 + np.int64(digit)
        i += 1
        digit = _digit(text, i)
    digits = i - first
    scale = 0
    if text[i] == DOT:
        i += 1
        after_dot = i
        digit = _digit(text, i)
        while digit <= 9:
            mantissa = mantissa * 10 + np.int64(digit)
            i += 1
            digit = _digit(text, i)
        scale = after_dot - i
        digits -= scale
    # More digits than a half or a float is ever written with would overflow the sum.
    if digits == 0 or digits > MAX_DIGITS:
        return 0.0, begin
    if text[i] == EXPONENT or text[i] == BIG_EXPONENT:
        down = text[i + 1] == MINUS
        i += 2 if down or text[i + 1] == PLUS else 1
        exponent, end = _integer(text, i)
        if end == i or exponent > MAX_EXPONENT:
            return 0.0, begin
        scale += -exponent if down else exponent
        i = end
    value = np.float64(mantissa)
    if -23 < scale <= 0:
        value /= TENS[-scale]
    elif mantissa != 0:
        value *= 10.0**scale
    return (-value if negative else value), i


@njit(nogil=True, cache=True)
def parse_rows(text, columns, places, keys, starts, values):  # type: ignore[no-untyped-def]
    """Read the rows of a table that holds a vector.

    Parameters
    ----------
    text : uint8 array
        Whole lines: the last byte is a line's end, on which every loop stops.
    columns : int
        Columns of a row.
    places : int64 array, shape (4,)
        Which of them are the three integers, in the order of `keys`, and the vector.
    keys : int64 array, shape (rows, 3)
        Filled with the integers.
    starts : int64 array, shape (rows + 1,)
        Filled with where in `values` the vector of each row begins, and the last one ends.
    values : float32 array
        Filled with the numbers; half as many as `text` has bytes are enough.

    Returns
    -------
    row, problem : int
        The number of rows and `OK`, or the row at which reading stopped and why.
    largest : float
        The largest absolute number.
    """
    n = text.shape[0]
    i = 0
    row = 0
    count = 0
    largest = 0.0
    while i < n:
        starts[row] = count
        for column in range(columns):
            if column == places[3]:
                if text[i] != OPEN:
                    return row, BAD_VECTOR, largest
                while text[i] != CLOSE:
                    value, end = _number(text, i + 1)
                    if end == i + 1 or (text[end] != COMMA and text[end] != CLOSE):
                        return row, BAD_VECTOR, largest
                    values[count] = value
                    largest = max(largest, abs(value))
                    count += 1
                    i = end
                i += 1
            elif column == places[0] or column == places[1] or column == places[2]:
                value, end = _integer(text, i)
                if end == i:
                    return row, BAD_NUMBER, largest
                for k in range(3):
                    if column == places[k]:
                        keys[row, k] = value
                i = end
            else:
                while text[i] != TAB and text[i] != NEWLINE:
                    i += 1
            if text[i] != (NEWLINE if column == columns - 1 else TAB):
                return row, BAD_COLUMNS, largest
            i += 1
        row += 1
    starts[row] = count
    return row, OK, largest
