"""What the compiled loops need and Python cannot say: numbers of 16 bits, and sums in one order on every machine.

Both are written in LLVM's language. Half-precision numbers travel as uint16, since the compiler knows no float16 of
its own; `half` reads them, with the processor's own conversion where it has one. `exact_inner` and `exact_gap` sum in
float64 over 32 partial sums, whatever the width of the processor's vectors, so that one pair of vectors has one
distance everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

__all__ = ["MASK", "exact_gap", "exact_inner", "first_bit", "prefetch", "reaching", "reaching_less", "value"]

WIDTH = 8
"""Numbers of one vector operation; LLVM cuts them to what the processor has, without changing the sums."""

SUMS = 4
"""Vectors of partial sums: enough of them to hide the time that one addition takes."""

STEP = WIDTH * SUMS

MASK = 64
"""Scores that are compared at once."""

FLOATS = ir.VectorType(ir.FloatType(), MASK)

DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)


@intrinsic
def half(context, bits):  # type: ignore[no-untyped-def]
    """Read the bits of a float16 as a float32: exact."""
    if bits != types.uint16:
        return None

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


def value(x):  # type: ignore[no-untyped-def]
    """Return one stored number as float32. `overload` below tells the compiler how, by the type of `x`."""
    raise NotImplementedError


@overload(value)
def _value_of(x):  # type: ignore[no-untyped-def]
    if isinstance(x, types.Integer):
        return lambda x: half(x)
    return lambda x: x


def _floats(builder: Any, array: Any, offset: Any) -> Any:
    """Load MASK float32 numbers of an array."""
    numbers = builder.load(builder.bitcast(builder.gep(array.data, [offset]), FLOATS.as_pointer()))
    numbers.align = 4
    return numbers


@intrinsic
def reaching(context, scores, first, least):  # type: ignore[no-untyped-def]
    """Return a bit for each of MASK scores from `first` on: set where it is at least `least`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return _mask(builder, _floats(builder, array, arguments[1]), arguments[2])

    return types.uint64(scores, types.intp, types.float32), generate


@intrinsic
def reaching_less(context, scores, penalty, first, least):  # type: ignore[no-untyped-def]
    """Do as `reaching`, with a penalty taken off each score."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        numbers = [
            _floats(builder, context.make_array(kind)(context, builder, array), arguments[2])
            for kind, array in zip(signature.args[:2], arguments[:2], strict=True)
        ]
        return _mask(builder, builder.fsub(*numbers), arguments[3])

    return types.uint64(scores, penalty, types.intp, types.float32), generate


def _mask(builder: Any, numbers: Any, least: Any) -> Any:
    nothing = ir.Constant(FLOATS, ir.Undefined)
    one = builder.insert_element(nothing, least, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), MASK), [0] * MASK)
    same = builder.shuffle_vector(one, nothing, everywhere)
    return builder.bitcast(builder.fcmp_ordered(">=", numbers, same), ir.IntType(MASK))


@intrinsic
def first_bit(context, mask):  # type: ignore[no-untyped-def]
    """Return the place of the lowest bit that is set; there must be one."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), generate


@intrinsic
def prefetch(context, x):  # type: ignore[no-untyped-def]
    """Ask for a vector that is needed soon: rows read at random wait for memory longer than they are computed with."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        kind, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [kind, flag, flag, flag]), "llvm.prefetch.p0i8"
        )
        size = builder.mul(array.nitems, array.itemsize)
        with cgutils.for_range_slice(builder, size.type(0), size, size.type(64)) as (offset, _):
            builder.call(function, [builder.gep(start, [offset]), flag(0), flag(2), flag(1)])
        return context.get_dummy_value()

    return types.void(x), generate


def _doubles(builder: Any, array: Any, element: Any, offset: Any) -> Any:
    """Load WIDTH numbers of an array as float64."""
    stored = ir.HalfType() if element == types.uint16 else ir.FloatType()
    place = builder.bitcast(builder.gep(array.data, [offset]), ir.VectorType(stored, WIDTH).as_pointer())
    numbers = builder.load(place)
    numbers.align = 2 if element == types.uint16 else 4
    if element == types.uint16:
        numbers = builder.fpext(numbers, ir.VectorType(ir.FloatType(), WIDTH))
    return builder.fpext(numbers, DOUBLES)


def _summing(term: Any) -> Any:
    """Make an intrinsic that sums `term` over the numbers of two vectors that come in whole steps."""

    def typed(context, x, y, steps):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            arrays = [
                context.make_array(kind)(context, builder, array)
                for kind, array in zip(signature.args[:2], arguments[:2], strict=True)
            ]
            sums = [cgutils.alloca_once(builder, DOUBLES) for _ in range(SUMS)]
            for place in sums:
                builder.store(ir.Constant(DOUBLES, [0.0] * WIDTH), place)
            index = arguments[2].type
            with cgutils.for_range(builder, arguments[2]) as loop:
                first = builder.mul(loop.index, ir.Constant(index, STEP))
                for i, place in enumerate(sums):
                    offset = builder.add(first, ir.Constant(index, i * WIDTH))
                    numbers = [_doubles(builder, a, t.dtype, offset) for a, t in zip(arrays, (x, y), strict=True)]
                    builder.store(builder.fadd(builder.load(place), term(builder, *numbers)), place)
            left = [builder.load(place) for place in sums]
            lanes = builder.fadd(builder.fadd(left[0], left[1]), builder.fadd(left[2], left[3]))
            total = ir.Constant(ir.DoubleType(), 0.0)
            for i in range(WIDTH):
                total = builder.fadd(total, builder.extract_element(lanes, ir.Constant(ir.IntType(32), i)))
            return total

        return types.float64(x, y, types.intp), generate

    return intrinsic(typed)


def _product(builder: Any, x: Any, y: Any) -> Any:
    return builder.fmul(x, y)


def _squared_gap(builder: Any, x: Any, y: Any) -> Any:
    gap = builder.fsub(x, y)
    return builder.fmul(gap, gap)


_sum_of_products = _summing(_product)
_sum_of_squared_gaps = _summing(_squared_gap)


@njit(nogil=True, cache=True)
def exact_inner(x, y):  # type: ignore[no-untyped-def]
    """Sum x * y in float64, in the project's one order."""
    steps = x.shape[0] // STEP
    total = _sum_of_products(x, y, steps)
    for i in range(steps * STEP, x.shape[0]):
        total += np.float64(value(x[i])) * np.float64(value(y[i]))
    return total


@njit(nogil=True, cache=True)
def exact_gap(x, y):  # type: ignore[no-untyped-def]
    """Sum (x - y) ** 2 in float64, in the project's one order."""
    steps = x.shape[0] // STEP
    total = _sum_of_squared_gaps(x, y, steps)
    for i in range(steps * STEP, x.shape[0]):
        gap = np.float64(value(x[i])) - np.float64(value(y[i]))
        total += gap * gap
    return total
