"""Query vectors times reference vectors: the exact k nearest donors, out of core.

`blockwise.nearest_neighbours` draws the graph; `kernel.tile_hits` answers one block of it, with `donors` that reads the
block ahead of the product, `nomination` that finds candidates, on a CPU or a GPU, `projection` that spares most of the
product, and `compiled/` that holds the loops of all of them. `topk` orders and merges answers; `memory` cuts the table
into blocks that fit; `separation` goes on until k neighbours pass a test of pairs; `distances` makes the distances, to
be looked at; `calibration` times a few tiles.
"""

from .blockwise import nearest_neighbours
from .distances import distances_between
from .memory import LookupPlan, plan_lookup, task_bytes

__all__ = ["LookupPlan", "distances_between", "nearest_neighbours", "plan_lookup", "task_bytes"]
