"""Short products never rule out a neighbour, rule out nearly everything else, and give way where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.lookup import projection
from fantasia_dask.lookup.donors import Donors, raw_bits
from fantasia_dask.lookup.kernel import tile_hits
from fantasia_dask.lookup.nomination import METRICS, TILE_ROWS, Batch, Compiled
from fantasia_dask.lookup.projection import Projected, Subspace, coordinates_of, pays
from tests.strategies import embeddings, filters


def like_a_language_model(n, d, seed, noise=0.02):
    """Vectors near a subspace of 16 dimensions, with a common direction."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(0).standard_normal((16, d))
    return rng.standard_normal((n, 16)) @ directions + 3 * directions[0] + noise * rng.standard_normal((n, d))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_tile_hits__short_products_change_nothing(data):
    """With copies, near copies, multiples, zeros, huge, tiny and denormal vectors: bit for bit as without."""
    q, r, d = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 200)), data.draw(st.integers(1, 200))
    seed = data.draw(st.integers(0, 2**32))
    everything = data.draw(embeddings(q + r, d, seed))
    rng = np.random.default_rng(seed)
    if data.draw(st.booleans()):
        everything += like_a_language_model(q + r, d, seed).astype("f4")
    if data.draw(st.booleans()):
        everything = np.clip(everything, -6e4, 6e4).astype("f2")
    if data.draw(st.booleans()):  # more ties than there is room for
        everything[rng.integers(0, q + r, q + r // 2)] = everything[0]
    how = data.draw(filters(q, r, rng)) | {"batch_size": data.draw(st.sampled_from([1, 5, 1024]))}
    queries, reference, rows = everything[:q], everything[q:], np.arange(r)
    full = tile_hits(queries, reference, rows, **how)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "pays", lambda *sizes: True)
        patch.setattr(projection, "LOOSE", data.draw(st.sampled_from([0, 1])))
        patch.setattr(projection, "FEW", data.draw(st.sampled_from([0.05, 0.3, 1.0])))
        patch.setattr(projection, "PIECE", data.draw(st.sampled_from([1, 7, 512])))
        patch.setattr("fantasia_dask.lookup.donors.TILE_ROWS", data.draw(st.sampled_from([20, TILE_ROWS])))
        short = tile_hits(queries, reference, rows, **how)
    assert short.tobytes() == full.tobytes()


@settings(max_examples=100, deadline=None)
@given(
    d=st.integers(1, 700),
    seed=st.integers(0, 2**32),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from(["f2", "f4"]),
    spread=st.sampled_from([0, 1, 4, 15]),
    near=st.booleans(),
)
def test_short_product__bounds_every_score(d, seed, metric, dtype, spread, near):
    """No float64 score of stored vectors exceeds what the short product says, by more than it admits."""
    rng = np.random.default_rng(seed)
    vectors = like_a_language_model(60, d, seed) if near else rng.standard_normal((60, d))
    vectors = vectors * 10.0 ** rng.uniform(-spread, spread, (60, 1))
    stored = np.clip(vectors, -6e4 if dtype == "f2" else -1e15, 6e4 if dtype == "f2" else 1e15).astype(dtype)
    x, y = stored[:20].astype("f8"), stored[20:].astype("f8")
    rows = np.arange(40)
    donors = Donors(stored[20:], rows, rows, np.full(40, -1), metric, float(np.linalg.norm(x, axis=1).max()))
    (tile,) = donors.tiles()
    nomination = Projected(Batch.of(raw_bits(stored[:20]), np.full(20, -1), metric, np.inf, donors.scale), 3, 1024)
    nomination._begin(tile)
    bounds = (nomination.queries @ nomination.space.coordinates(tile.vectors).T).astype("f8")
    if metric == "cosine":
        x, y = (v / np.where((n := np.linalg.norm(v, axis=1, keepdims=True)) > 0, n, 1) for v in (x, y))
        exact = x @ y.T
    else:
        bounds -= tile.penalty
        x, y = x * donors.scale, y * donors.scale
        exact = x @ y.T - (y**2).sum(axis=1) / 2
    assert (exact <= bounds + nomination._reach(tile)[:, None]).all()


def test_subspace__finds_the_directions_in_which_vectors_are_long():
    vectors = like_a_language_model(500, 256, 1).astype("f4")
    space = Subspace.of(vectors, 29)
    assert space.excess < 1e-5
    found = space.coordinates(vectors).astype("f8")
    squares = (vectors.astype("f8") ** 2).sum(axis=1)
    inside = (found[:, :29] ** 2).sum(axis=1)
    assert (inside / squares > 0.999).all()
    rest, admitted = squares - inside, 3 * space.gamma * np.sqrt(squares) * found[:, 31]
    assert (found[:, 29] ** 2 >= rest).all()
    assert (found[:, 29] ** 2 <= rest + admitted).all()
    np.testing.assert_allclose(found[:, 31], np.abs(found[:, :29]).sum(axis=1), rtol=1e-6)


def test_subspace__of_vectors_with_fewer_directions():
    """Copies of three vectors span three dimensions: nothing lies outside, and no direction is needed for nothing."""
    three = np.random.default_rng(1).standard_normal((3, 256)).astype("f4")
    vectors = np.repeat(three, 40, axis=0)
    space = Subspace.of(vectors, 29)
    assert space.excess < 1e-5
    found = space.coordinates(vectors).astype("f8")
    np.testing.assert_allclose((found[:, :29] ** 2).sum(axis=1), (vectors.astype("f8") ** 2).sum(axis=1), rtol=1e-5)
    nothing = Subspace.of(np.zeros((5, 64), "f4"), 13)
    assert not nothing.basis.any()
    assert nothing.excess == 0


@pytest.mark.parametrize("metric", METRICS)
def test_projected__leaves_few_pairs(metric, monkeypatch):
    """On vectors such as language models make, one pair in a hundred is left; on noise, all of the work is the old."""
    from fantasia_dask.lookup.compiled import candidates

    pairs = []
    counted = candidates.nominate_pairs
    monkeypatch.setattr(candidates, "nominate_pairs", lambda *args: pairs.append(len(args[0])) or counted(*args))
    rows = np.arange(12_000)
    queries, reference = (like_a_language_model(n, 512, seed).astype("f2") for n, seed in ((600, 1), (12_000, 2)))
    assert pays(600, 12_000, 512)
    hits = tile_hits(queries, reference, rows, k=5, metric=metric)
    assert 0 < sum(pairs) < 0.01 * 600 * 12_000
    monkeypatch.setattr(projection, "pays", lambda *sizes: False)
    assert tile_hits(queries, reference, rows, k=5, metric=metric).tobytes() == hits.tobytes()


def test_projected__gives_way_where_it_rules_out_too_little():
    rng = np.random.default_rng(3)
    stored, nobody = rng.standard_normal((9000, 512)).astype("f2"), np.full(9000, -1)
    rows = np.arange(9000)
    nomination = Projected(Batch.of(raw_bits(stored[:600]), nobody[:600], "cosine", np.inf, 1.0), 5, 1024)
    plain = Compiled(nomination.batch, 5, 1024)
    states = []
    for tile in Donors(stored, rows, rows, nobody, "cosine", 1.0).tiles():
        nomination.look_at(tile)
        plain.look_at(tile)
        states.append(nomination.useful)
    assert states[-1] is False
    exact = tile_hits(stored[:600], stored, rows, k=5)
    for columns, counts in (nomination.candidates(), plain.candidates()):
        for line, count, hits in zip(columns, counts, exact, strict=True):
            assert set(hits["row"]) <= set(line[:count])


@pytest.mark.parametrize("metric", METRICS)
def test_tile_hits__thousands_of_ties_one_by_one(metric, always):
    rng = np.random.default_rng(5)
    reference = rng.standard_normal((2 * TILE_ROWS + 7, 24)).astype("f2")
    copies = np.sort(rng.choice(len(reference), 3000, replace=False))
    reference[copies] = reference[copies[0]]
    hits = tile_hits(reference[copies[:1]], reference, np.arange(len(reference)), k=60, metric=metric)
    assert hits["row"][0].tolist() == copies[:60].tolist()
    assert (hits["distance"] == 0).all()


def test_pays__few_queries_few_donors_or_short_vectors_do_not():
    assert pays(16_384, 62_000, 1024)
    assert pays(2_000, 62_000, 2560)
    assert not pays(50, 62_000, 1024)
    assert not pays(16_384, 400, 1024)
    assert not pays(16_384, 62_000, 32)
    assert [coordinates_of(d) for d in (8, 320, 1024, 1280, 2560)] == [8, 29, 125, 157, 317]
