"""Every run writes its page, and tells of it first."""

from __future__ import annotations

import pytest

from fantasia_dask import write_report
from fantasia_dask.progress import Progress


def files_of(folder):
    return {path.name: path.read_bytes() for path in [folder / "report.html", *sorted((folder / "figures").iterdir())]}


def test_run__sample_page_and_the_same_again(sample_config, run_quietly, client):
    config = sample_config(report=True)
    summary = run_quietly(config)
    assert summary.files[0] == config.run_folder / "report.html"
    assert summary.text().splitlines()[-len(summary.files)].strip() == "report.html"
    page = (config.run_folder / "report.html").read_text(encoding="utf-8")
    assert "12 of 12 proteins of <b>queries.fasta</b> (100%) received Gene Ontology terms" in " ".join(page.split())
    assert "Tiny-ESM2 layer 1" in page
    before = files_of(config.run_folder)
    assert {"coverage.svg", "distances.png", "agreement.svg", "donors.svg"} <= set(before)
    (config.run_folder / "report.html").unlink()
    made = write_report(config.run_folder, client=client, progress=Progress(quiet=True))
    assert made[0] == config.run_folder / "report.html"
    assert files_of(config.run_folder) == before


def test_run__report_false_leaves_no_page_of_an_earlier_run(lookup_config, run_quietly):
    config = lookup_config(report=True)
    run_quietly(config)
    assert (config.run_folder / "report.html").is_file()
    run_quietly(lookup_config())
    assert not (config.run_folder / "report.html").exists()
    assert not (config.run_folder / "figures").exists()


def test_run__only_embedding_has_a_page_of_its_own(sample_config, run_quietly):
    config = sample_config(report=True, only_embedding=True, reference=None)
    summary = run_quietly(config)
    assert summary.files[0].name == "report.html"
    page = (config.run_folder / "report.html").read_text(encoding="utf-8")
    assert "12 of 12 proteins of <b>queries.fasta</b> were turned into vectors" in " ".join(page.split())


@pytest.mark.filterwarnings("ignore:.*has no vectors of.*")
def test_run__page_without_any_space(lookup_config, run_quietly, tmp_path, simulated):
    from fantasia_dask.schema import Space
    from fantasia_dask.testing import simulate_store

    simulate_store(tmp_path / "other.zarr", 5, (Space("Other", 0, 16, "clean"),))
    config = lookup_config(report=True, input=str(tmp_path / "other.zarr"), embedding__models={"Other": {}})
    run_quietly(config)
    assert "none of the models and layers asked for" in (config.run_folder / "report.html").read_text(encoding="utf-8")
