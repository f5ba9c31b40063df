"""Days of annotations, however they were written: a filter that passes a later one spoils the test it is made for."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.reference.dates import dated_before, days
from fantasia_dask.reference.sources import read_annotations

DAYS = st.dates(min_value=pd.Timestamp("1990-01-01").date(), max_value=pd.Timestamp("2040-01-01").date())


@given(day=DAYS, written=st.lists(st.tuples(DAYS, st.sampled_from(["%Y%m%d", "%Y-%m-%d"])), min_size=1))
def test_dated_before__as_the_calendar_has_it(day, written):
    annotations = pd.DataFrame({"date": [date.strftime(form) for date, form in written]}, dtype="str")
    assert dated_before(annotations, day.isoformat()).tolist() == [date < day for date, _ in written]


def test_dated_before__no_date_is_no_early_date():
    annotations = pd.DataFrame({"date": ["", "2019", "1.2.2019", "20190201"]}, dtype="str")
    assert dated_before(annotations, "2020-01-31").tolist() == [False, False, False, True]


@pytest.mark.parametrize("dates", [["", ""], ["1.2.2019", "June"]])
def test_dated_before__no_date_at_all(dates):
    with pytest.raises(InputError, match="none of the 2 annotations has a date"):
        dated_before(pd.DataFrame({"date": dates}, dtype="str"), "2020-01-31")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("20201215", "20201215"),
        ("2020-12-15", "20201215"),
        ("2020-12-15T10:20:30Z", "20201215"),
        ("2020-12-15 10:20:30", "20201215"),
        ("2020-12-15Z", "20201215"),
        ("2020-12-15+01:00", "20201215"),
        ("", ""),
    ],
)
def test_read_annotations__a_day_is_written_in_one_way(tmp_path, written, kept):
    table = tmp_path / "a.tsv"
    table.write_text(f"accession\tgo_id\tdate\nP1\tGO:0008150\t{written}\n")
    assert days(read_annotations(table).table).tolist() == [kept]
    assert read_annotations(table).table["date"].tolist() == [kept]


@pytest.mark.parametrize(
    "written", ["15.12.2020", "2020", "2020-1215", "yesterday", "2020-1-1", "20200230", "00000000"]
)
def test_read_annotations__a_date_that_is_none(tmp_path, written):
    """It costs nobody the file: such an annotation is of no early day."""
    table = tmp_path / "a.tsv"
    table.write_text(f"accession\tgo_id\tdate\nP1\tGO:0008150\t20200131\nP1\tGO:0008150\t{written}\n")
    with pytest.warns(FantasiaWarning, match=rf"^1 lines of .*a\.tsv have a date that is none, line 3 .*'{written}'"):
        found = read_annotations(table).table
    assert found["date"].tolist() == ["20200131", ""]
    assert dated_before(found, "2021-01-01").tolist() == [True, False]


@pytest.mark.parametrize("written", ["NA", "-", "nan", "0"])
def test_read_annotations__words_for_no_date(tmp_path, written):
    table = tmp_path / "a.tsv"
    table.write_text(f"accession\tgo_id\tdate\nP1\tGO:0008150\t{written}\n")
    assert read_annotations(table).table["date"].tolist() == [""]
