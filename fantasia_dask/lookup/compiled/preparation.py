"""Stored vectors made ready to be multiplied, measured, and given coordinates in a subspace."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from .intrinsics import value

__all__ = ["inner32", "measure_rest", "orthonormalise", "prepare"]

UP = 1.0 + 2.0**-22  # a float64 number times this is no smaller when it is rounded to float32


@njit(nogil=True, cache=True)
def prepare(vectors, unit, scale, out, norms):  # type: ignore[no-untyped-def]
    """Make stored vectors ready to be multiplied, and measure them.

    Parameters
    ----------
    vectors : array, shape (n, d), uint16 (the bits of float16) or float32
    unit : bool
        Whether each vector is divided by its norm (a zero vector stays one), else all are multiplied with `scale`.
    scale : float
        A power of two.
    out : float32 array, shape (n, d)
        The vectors. Overwritten.
    norms : float64 array, shape (n,)
        Their norms as stored, off by at most d 2**-25 relative: float16 is summed in float32, in any order, and float32
        in float64. Overwritten.
    """
    for i in range(vectors.shape[0]):
        norms[i] = np.sqrt(_widen(vectors[i], out[i]))
        factor = scale if not unit else (1.0 / norms[i] if norms[i] > 0.0 else 0.0)
        _multiply(vectors[i], out[i], factor)


def _widen(stored, wide):  # type: ignore[no-untyped-def]
    """Write a vector as float32 where it is not, and return about its squared norm; `overload` tells how, by type."""
    raise NotImplementedError


@overload(_widen)
def _widen_of(stored, wide):  # type: ignore[no-untyped-def]
    def half(stored, wide):  # type: ignore[no-untyped-def]
        for c in range(stored.shape[0]):
            wide[c] = value(stored[c])
        return np.float64(inner32(wide, wide))

    def single(stored, wide):  # type: ignore[no-untyped-def]
        return _inner64(stored, stored)

    return half if isinstance(stored.dtype, types.Integer) else single


def _multiply(stored, wide, factor):  # type: ignore[no-untyped-def]
    """Write a vector times a factor as float32; `overload` tells how, by type."""
    raise NotImplementedError


@overload(_multiply)
def _multiply_of(stored, wide, factor):  # type: ignore[no-untyped-def]
    def half(stored, wide, factor):  # type: ignore[no-untyped-def]
        short = np.float32(factor)
        for c in range(wide.shape[0]):
            wide[c] *= short

    def single(stored, wide, factor):  # type: ignore[no-untyped-def]
        for c in range(stored.shape[0]):  # in float64: the inverse of a tiny norm is more than float32 can hold
            wide[c] = np.float32(np.float64(stored[c]) * factor)

    return half if isinstance(stored.dtype, types.Integer) else single


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def inner32(x, y):  # type: ignore[no-untyped-def]
    """Sum the products of two float32 vectors in float32, in any order."""
    total = np.float32(0)
    for c in range(x.shape[0]):
        total += x[c] * y[c]
    return total


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _inner64(x, y):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(x.shape[0]):
        total += np.float64(x[c]) * np.float64(y[c])
    return total


@njit(nogil=True, cache=True)
def orthonormalise(vectors):  # type: ignore[no-untyped-def]
    """Make the rows of a float64 array, shape (m, d), orthonormal, in place; a row that depends on others becomes zero.

    Gram-Schmidt, each row twice, which keeps float64 orthogonal to working precision. LAPACK's QR would do, but two of
    them side by side wait for each other.
    """
    for i in range(vectors.shape[0]):
        before = np.sqrt(_inner64(vectors[i], vectors[i]))
        for _ in range(2):
            for j in range(i):
                along = _inner64(vectors[j], vectors[i])
                for c in range(vectors.shape[1]):
                    vectors[i, c] -= along * vectors[j, c]
        norm = np.sqrt(_inner64(vectors[i], vectors[i]))
        inverse = 1.0 / norm if norm > 1e-10 * before and norm > 0.0 else 0.0
        for c in range(vectors.shape[1]):
            vectors[i, c] *= inverse


@njit(nogil=True, cache=True)
def measure_rest(vectors, gamma, excess, coordinates):  # type: ignore[no-untyped-def]
    """Append to the coordinates of vectors in a subspace what bounds the products that they leave out.

    Parameters
    ----------
    vectors : float32 array, shape (n, d)
    gamma : float
        Bound on the error of a coordinate, in units of the vector's norm.
    excess : float
        How far the squared length of the coordinates may exceed that of the projection, in units of the squared norm.
    coordinates : float32 array, shape (n, m + 3)
        The first m are given. Appended, and rounded up: the norm of the rest; gamma times the norm of the vector; the
        sum of the absolute coordinates.
    """
    m = coordinates.shape[1] - 3
    for i in range(vectors.shape[0]):
        square, inside, absolute = _inner64(vectors[i], vectors[i]), 0.0, 0.0
        for c in range(m):
            x = np.float64(coordinates[i, c])
            inside += x * x
            absolute += abs(x)
        norm = np.sqrt(square)
        rest = max(0.0, square - inside) + 2.0 * gamma * norm * absolute + excess * square
        coordinates[i, m] = UP * np.sqrt(rest)
        coordinates[i, m + 1] = UP * gamma * norm
        coordinates[i, m + 2] = UP * absolute
