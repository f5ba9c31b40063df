"""``python -m fantasia_dask`` is ``fantasia-dask``."""

from .cli import main

main()
