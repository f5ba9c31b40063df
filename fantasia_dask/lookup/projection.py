"""Most pairs of vectors are ruled out by a few of their coordinates: a product an eighth as long, exact all the same.

Embeddings lie near a subspace of few dimensions: of 1,024, the 125 that vary most hold 99% and more of their length. In
an orthonormal basis V of such a subspace (columns; a = V'x and b = V'y are coordinates), and with r the length of what
a vector has outside of it,

    a.b - r_x r_y  <=  x.y  <=  a.b + r_x r_y                         (Cauchy-Schwarz)

so a pair whose upper bound does not reach the least score that counts is done with. The others, in practice one in some
hundreds or thousands, are multiplied in full and nominated as ever (`nomination`).

What rounding adds is bounded too, with u = 2**-24 and gamma = d u (Higham 2002, section 3.1). A coordinate, being a sum
of d products with a column of norm 1, is off by at most gamma |x|. So a.b is off by at most
gamma (|x| |b|_1 + |y| |a|_1) + m gamma^2 |x| |y|, where |a|_1, the sum of absolute coordinates, is a few |a| at most,
since the first coordinates are the largest. These products, and r_x r_y, are three columns more of the short matrix
product, which so gives the upper bound itself. A basis that is orthonormal but for |V'V - 1| = e (measured in float64)
moves a.b by less than 1.01 e |x| |y|. The short product itself is off by gamma_(m+3) times 1.1 |x| |y|. The squared
length outside is |x|^2 - |a|^2, in float64, raised by what gamma and e may have added to |a|^2.

The basis follows from a sample of the queries and of the block's first donors, by subspace iteration from a random
start (Halko, Martinsson, Tropp 2011, algorithm 4.4). A poor basis costs time, never a neighbour. Where it rules out too
little, which is counted before anything is multiplied pair by pair, the product in full is taken.

References
----------
Halko, Martinsson, Tropp (2011) Finding structure with randomness, SIAM Review 53:217, doi:10.1137/090771806.
Higham (2002) Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .nomination import UNIT, Batch, Compiled, Tile, product_error

__all__ = ["Projected", "Subspace", "pays"]

PIECE = 512  # queries, and donors, of one short product: 1 MB of bounds stays in a core's cache
SAMPLE = 512  # vectors of either side that the basis follows from
LOOSE = 24  # times k donors are multiplied in full before bounds can rule out most others, if the basis is any good
FEW = 1 / 16  # of the pairs: more of them are multiplied together faster than one by one
APPENDED = 3
UNDERFLOW = 2.0**-100  # more than coordinates that underflow may lose of a score, of vectors no longer than 1


def coordinates_of(d: int) -> int:
    """Return how many coordinates are taken: with what is appended, an eighth of d in whole vectors of 16 numbers."""
    return min(d, max(16, 16 * round(d / 128)) - APPENDED)


def pays(b: int, n: int, d: int) -> bool:
    """Tell whether short products are worth what they need: a basis, and coordinates of b queries and n donors.

    Examples
    --------
    >>> pays(2000, 60_000, 1024), pays(100, 60_000, 1024)
    (True, False)
    """
    m = coordinates_of(d)
    full = b * n * d
    sampled = min(b, SAMPLE) + min(n, SAMPLE)
    short = b * n * (m + APPENDED) + (b + n) * m * d + b * min(n, PIECE) * d + 6 * sampled * m * d
    return d >= 4 * m and short < 0.6 * full


@dataclass(frozen=True)
class Subspace:
    """A subspace near which vectors lie.

    Attributes
    ----------
    basis : float32 array, shape (d, m + 3)
        Orthonormal directions, or zeros where vectors have fewer; then zeros three times, which leaves room for what is
        appended to coordinates.
    excess : float
        How far from orthonormal they are: the Frobenius norm of V'V - 1, without the zeros.
    """

    basis: np.ndarray
    excess: float

    @classmethod
    def of(cls, sample: np.ndarray, m: int) -> Subspace:
        """Find m directions in which vectors, float32 of shape (n, d), are long; m is d at most.

        Examples
        --------
        >>> space = Subspace.of(np.ones((4, 64), "f4"), 1)
        >>> bool(np.allclose(abs(space.basis[:, 0]), 1 / 8)), space.excess < 1e-5
        (True, True)
        """
        from .compiled.preparation import orthonormalise

        directions = np.random.default_rng(0).standard_normal((m, sample.shape[1]), np.float32)
        for _ in range(2):
            wide = ((directions @ sample.T) @ sample).astype(np.float64)
            orthonormalise(wide)
            directions = wide.astype(np.float32)
        wide = directions.astype(np.float64)
        gram = wide @ wide.T
        excess = np.linalg.norm(gram - np.diag(np.diag(gram) > 0.5))
        return cls(np.ascontiguousarray(np.pad(directions, ((0, APPENDED), (0, 0))).T), float(excess))

    @property
    def gamma(self) -> float:
        """Bound on the error of a coordinate, in units of the vector's norm."""
        return 1.02 * (len(self.basis) + 8) * UNIT

    @property
    def terms(self) -> float:
        """How many numbers added up would be off by as much as the short product, but for what it bounds itself."""
        m = self.basis.shape[1] - APPENDED
        return 1.1 * (m + 8) + (1.2 * self.excess + m * self.gamma**2) / UNIT

    def coordinates(self, vectors: np.ndarray) -> np.ndarray:
        """Return the coordinates of vectors, with what `measure_rest` appends: float32, shape (n, m + 3)."""
        from .compiled.preparation import measure_rest

        found = vectors @ self.basis
        measure_rest(vectors, self.gamma, 1.2 * self.excess + vectors.shape[1] * 2.0**-50, found)
        return found


class Projected(Compiled):
    """Nomination on a CPU by short products, and by products in full of what they cannot rule out.

    Parameters
    ----------
    batch : Batch
    k : int
    batch_size : int
        Queries multiplied at once.
    """

    def __init__(self, batch: Batch, k: int, batch_size: int):
        super().__init__(batch, k, batch_size)
        self.loose = LOOSE * k
        self.pairs = np.empty((2, int(FEW * PIECE * PIECE)), np.int32)
        self.m = coordinates_of(batch.vectors.shape[1])
        self.space: Subspace | None = None
        self.useful = True

    def look_at(self, tile: Tile) -> None:
        """Rule out most pairs, and carry on with the others."""
        if self.useful and self.space is None:
            self._begin(tile)
        if not self.useful or self.space is None:
            super().look_at(tile)
            return
        y = self.space.coordinates(tile.vectors)
        error, reach = self.batch.error(tile), self._reach(tile)
        step, tried, ruled = min(PIECE, self.batch_size), 0, 0
        for start in range(0, len(self.counts), step):
            some = slice(start, start + step)
            for first in range(0, len(tile), PIECE):
                part = tile.part(first, first + PIECE)
                if part.first >= self.loose:
                    tried += 1
                    if self._rule_out(some, part, y[first : first + PIECE], error, reach):
                        ruled += 1
                        continue
                self._carry_on(some, part, self._multiply(self.batch.vectors[some], part.vectors), error)
        self.useful = ruled >= tried / 2

    def _rule_out(self, some: slice, tile: Tile, y: np.ndarray, error: np.ndarray, reach: np.ndarray) -> bool:
        """Carry on with the pairs that short products leave, if these are few."""
        from .compiled.candidates import nominate_pairs, not_ruled_out

        most = self._multiply(self.queries[some], y)
        how = most, tile.penalty, reach[some]
        pairs = self.pairs[:, : int(FEW * most.size)]
        found = not_ruled_out(*how, self.bounds[some], self.counts[some], *pairs)
        if found < 0:
            return False
        vectors = self.batch.vectors[some], tile.vectors
        nominate_pairs(*pairs[:, :found], *how, *vectors, error[some], *self._state(some, tile))
        return True

    def _begin(self, tile: Tile) -> None:
        x, y = self.batch.vectors, tile.vectors
        sample = np.concatenate([some[:: -(-len(some) // SAMPLE)] for some in (x, y)])
        self.space = Subspace.of(sample, self.m)
        self.useful = self.space.excess < 1e-3
        self.queries = self.space.coordinates(x)
        # What is appended meets its counterpart: gamma |x| the |b|_1 of a donor.
        self.queries[:, -2:] = self.queries[:, :-3:-1].copy()

    def _reach(self, tile: Tile) -> np.ndarray:
        """Bound what a pair's score may have beyond its bound in the short product: float32, shape (b,)."""
        assert self.space is not None
        d, terms = self.batch.vectors.shape[1], self.space.terms
        error = product_error(d, self.batch.metric, self.batch.norms, tile.largest, terms) + UNDERFLOW
        return np.broadcast_to(np.asarray(error, np.float32), self.batch.norms.shape)
