"""What hypothesis draws: embeddings with the ugly cases in them, and ways to cut an axis into chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

__all__ = ["chunkings", "embeddings", "filters"]


@st.composite
def chunkings(draw: st.DrawFn, n: int) -> tuple[int, ...]:
    """Cut an axis of length n into chunks of any sizes."""
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=6))) if n > 1 else []
    return tuple(int(size) for size in np.diff([0, *cuts, n]))


@st.composite
def embeddings(draw: st.DrawFn, n: int, d: int, seed: int) -> np.ndarray:
    """Draw n vectors among which are copies, near copies, multiples, zeros, and very large and very small ones."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, d)).astype(np.float32)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["copy", "near", "multiple", "zero", "huge", "tiny", "denormal"]))
        target = draw(st.integers(0, n - 1))
        source = vectors[draw(st.integers(0, n - 1))]
        vectors[target] = {
            "copy": source,
            "near": np.nextafter(source, np.float32(np.inf)),
            "multiple": source * np.float32(4),
            "zero": source * 0,
            "huge": np.clip(source, -3, 3) * np.float32(1e18),
            "tiny": source * np.float32(1e-18),
            "denormal": np.sign(source) * np.float32(1e-44),
        }[kind]
    return vectors


@st.composite
def filters(draw: st.DrawFn, q: int, r: int, rng: np.random.Generator) -> dict[str, object]:
    """Draw k, metric, threshold, and every filter of a lookup of q queries in r donors, as `tile_hits` takes them."""
    return {
        "k": draw(st.sampled_from([1, 3, 50, r + 5])),
        "metric": draw(st.sampled_from(["cosine", "euclidean"])),
        "threshold": draw(st.sampled_from([np.inf, 0.8, 0.0])),
        "keep": draw(st.sampled_from([None, rng.random(r) < 0.5])),
        "asked": draw(st.sampled_from([None, rng.random(q) < 0.7])),
        "q_labels": rng.integers(-1, 3, q),
        "r_labels": rng.integers(-1, 3, r),
    }
