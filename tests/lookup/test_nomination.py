"""Whoever nominates, the answer is the same; and what is nominated always includes the nearest."""

from __future__ import annotations

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.lookup.compiled.preparation import prepare
from fantasia_dask.lookup.donors import Donors, raw_bits
from fantasia_dask.lookup.kernel import tile_hits
from fantasia_dask.lookup.nomination import METRICS, TILE_ROWS, Batch, Compiled, OnArrays, product_error
from tests.strategies import embeddings, filters


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_tile_hits__array_namespace_and_compiled_loops_agree(data):
    """The code that runs on a GPU, run on NumPy: bit for bit the answer of the compiled loops."""
    q, r, d = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 200)), data.draw(st.integers(1, 70))
    seed = data.draw(st.integers(0, 2**32))
    everything = data.draw(embeddings(q + r, d, seed))
    if data.draw(st.booleans()):
        everything = np.clip(everything, -6e4, 6e4).astype("f2")
    rng = np.random.default_rng(seed)
    if data.draw(st.booleans()):  # more ties than there is room for
        everything[rng.integers(0, q + r, q + r // 2)] = everything[0]
    how = data.draw(filters(q, r, rng))
    queries, reference = everything[:q], everything[q:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fantasia_dask.lookup.donors.TILE_ROWS", data.draw(st.sampled_from([1, 30, TILE_ROWS])))
        patch.setattr("fantasia_dask.lookup.nomination.SPARE", data.draw(st.sampled_from([0, 2, 64])))
        on_arrays = tile_hits(queries, reference, np.arange(r), xp=np, **how)
    compiled = tile_hits(queries, reference, np.arange(r), **how)
    assert on_arrays.tobytes() == compiled.tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("xp", [None, np])
def test_tile_hits__thousands_of_ties_on_either_side_of_the_tiles(metric, xp):
    rng = np.random.default_rng(5)
    reference = rng.standard_normal((3 * TILE_ROWS + 7, 24)).astype("f2")
    copies = np.sort(rng.choice(len(reference), 4000, replace=False))
    reference[copies] = reference[copies[0]]
    query = reference[copies[:1]]
    hits = tile_hits(query, reference, np.arange(len(reference)), k=60, metric=metric, xp=xp)
    assert hits["row"][0].tolist() == copies[:60].tolist()
    assert (hits["distance"] == 0).all()


class ShortOfMemory(types.SimpleNamespace):
    """NumPy, on a device too small for more than some donors at a time."""

    def __init__(self, most):
        super().__init__(most=most, seen=[])

    def __getattr__(self, name):
        return getattr(np, name)

    def asarray(self, array):
        if array.ndim == 2 and array.dtype == np.uint16:
            self.seen.append(len(array))
            if len(array) > self.most:
                raise MemoryError("out of memory on the device")
        return np.asarray(array)


def test_on_arrays__halves_a_tile_that_does_not_fit(monkeypatch):
    monkeypatch.setattr("fantasia_dask.lookup.nomination._largest", lambda xp, s, n: np.argsort(s, axis=1)[:, -n:])
    rng = np.random.default_rng(6)
    queries, reference = (rng.standard_normal((n, 16)).astype("f2") for n in (20, 1000))
    small = ShortOfMemory(130)
    hits = tile_hits(queries, reference, np.arange(1000), k=7, xp=small)
    assert hits.tobytes() == tile_hits(queries, reference, np.arange(1000), k=7).tobytes()
    assert max(small.seen) == 1000
    assert sum(n for n in small.seen if n <= 130) == 1000
    with pytest.raises(MemoryError, match="on the device"):
        tile_hits(queries, reference, np.arange(1000), k=7, xp=ShortOfMemory(0))


class Streams(types.SimpleNamespace):
    """NumPy, on a device whose streams write down what waits for what."""

    def __init__(self):
        super().__init__(log=[], stack=["products"])
        self.cuda = types.SimpleNamespace(
            Stream=lambda non_blocking: FakeStream("copies", self),
            get_current_stream=lambda: FakeStream("products", self),
        )

    def __getattr__(self, name):
        return getattr(np, name)

    def asarray(self, array):
        if array.ndim == 2 and array.dtype == np.uint16:
            self.log.append(f"tile copied by {self.stack[-1]}")
        return np.asarray(array)


class FakeStream:
    def __init__(self, name, device):
        self.name, self.device = name, device

    def __enter__(self):
        self.device.stack.append(self.name)

    def __exit__(self, *error):
        self.device.stack.pop()

    def record(self):
        return self.name

    def wait_event(self, event):
        self.device.log.append(f"{self.name} wait for {event}")


def test_on_arrays__copies_behind_the_product(monkeypatch):
    """A tile is copied by a stream of its own, and the next copy waits until it has been read."""
    monkeypatch.setattr("fantasia_dask.lookup.nomination._largest", lambda xp, s, n: np.argsort(s, axis=1)[:, -n:])
    monkeypatch.setattr("fantasia_dask.lookup.donors.TILE_ROWS", 400)
    rng = np.random.default_rng(6)
    queries, reference = (rng.standard_normal((n, 16)).astype("f2") for n in (20, 1000))
    device = Streams()
    hits = tile_hits(queries, reference, np.arange(1000), k=7, xp=device)
    assert hits.tobytes() == tile_hits(queries, reference, np.arange(1000), k=7).tobytes()
    assert device.log == 3 * ["tile copied by copies", "products wait for copies", "copies wait for products"]


@settings(max_examples=60, deadline=None)
@given(
    d=st.integers(1, 700),
    seed=st.integers(0, 2**32),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from(["f2", "f4"]),
    spread=st.sampled_from([0, 1, 4]),
)
def test_product_error__bounds_what_is_really_multiplied(d, seed, metric, dtype, spread):
    """Scores of prepared vectors, as the nomination sees them, against float64 scores of the stored ones."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((30, d)) * 10.0 ** rng.uniform(-spread, spread, (30, 1))
    stored = np.clip(vectors, -6e4, 6e4).astype(dtype)
    rows = np.arange(20)
    donors = Donors(stored[10:], rows, rows, np.full(20, -1), metric, float(np.abs(vectors).max() * d**0.5))
    (tile,) = donors.tiles()
    batch = Batch.of(raw_bits(stored[:10]), np.full(10, -1), metric, np.inf, donors.scale)
    scores = (batch.vectors @ tile.vectors.T).astype("f8")
    x, y = stored[:10].astype("f8"), stored[10:].astype("f8")
    if metric == "cosine":
        x, y = (v / np.where((n := np.linalg.norm(v, axis=1, keepdims=True)) > 0, n, 1) for v in (x, y))
        exact = x @ y.T
    else:
        scores -= tile.penalty
        x, y = x * donors.scale, y * donors.scale
        exact = x @ y.T - (y**2).sum(axis=1) / 2
    assert (np.abs(scores - exact) <= batch.error(tile)[:, None]).all()
    assert float(product_error(d, metric, batch.norms, tile.largest).max() if metric == "euclidean" else 1) > 0


def test_nominations__include_the_nearest_and_little_else():
    rng = np.random.default_rng(7)
    stored = rng.standard_normal((5000, 128)).astype("f2")
    rows, nobody = np.arange(5000), np.full(5000, -1)
    exact = tile_hits(stored[:40], stored, rows, k=5)
    for make in (lambda batch: Compiled(batch, 5, 16), lambda batch: OnArrays(batch, 5, np)):
        donors = Donors(stored, rows, rows, nobody, "cosine", 1.0)
        nomination = make(Batch.of(raw_bits(stored[:40]), nobody[:40], "cosine", np.inf, donors.scale))
        for tile in donors.tiles():
            nomination.look_at(tile)
        columns, counts = nomination.candidates()
        assert counts.min() >= 5
        assert counts.max() <= 8
        for line, count, hits in zip(columns, counts, exact, strict=True):
            assert set(hits["row"]) <= set(line[:count])


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_prepare__reads_every_number_of_its_type(dtype):
    """All 65,536 numbers of float16, and the edges of float32, as they are."""
    bits = np.arange(2**16, dtype="u2")
    edges = np.array([0.0, -0.0, 1e-45, 1.2e-38, 3.4e38, -3.4e38, 1.0], "f4")
    numbers = bits.view("f2") if dtype == "f2" else edges
    numbers = numbers[np.isfinite(numbers)]
    out, norms = np.empty((len(numbers), 1), "f4"), np.empty(len(numbers))
    prepare(raw_bits(numbers[:, None]), False, 1.0, out, norms)
    assert out[:, 0].tobytes() == numbers.astype("f4").tobytes()
    np.testing.assert_allclose(norms, np.abs(numbers.astype("f8")), rtol=1e-7)
