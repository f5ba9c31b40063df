"""Write the stored answers of `fantasia-dask selftest`; run it when the sample or what is computed from it changes."""

from __future__ import annotations

import json

from fantasia_dask.pipeline.selftest import ANSWERS, answers

ANSWERS.write_text(json.dumps(answers(), separators=(",", ":")) + "\n", encoding="utf-8")
