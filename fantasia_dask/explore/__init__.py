"""A finished run, opened: every array and table of it, lazily, and pictures. For notebooks and for other programs.

`run.open_run` opens a run folder, `space` is what was computed with one model and layer, `frames` reads tables, `map`
lays vectors out in a plane, `plots` draws, `cards` is what a notebook shows.
"""

from .run import OpenRun, open_run
from .space import OpenSpace

__all__ = ["OpenRun", "OpenSpace", "open_run"]
