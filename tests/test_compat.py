import copy

import pytest
import yaml

from fantasia_dask.compat import is_fantasia, translate
from fantasia_dask.config import load_config, make_config
from fantasia_dask.errors import InputError

MODELS = {"embedding": {"models": {"Prot-T5": {"enabled": True, "layer_index": [0], "distance_threshold": False}}}}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("cosine_k5", {}),
        ("euclidean_k5", {"embedding.distance_metric": "euclidean"}),
        ("threshold", {"embedding.models.Prot-T5.distance_threshold": 0.05}),
        ("tax_exclude", {"taxonomy_ids_to_exclude": [559292, 6239]}),
        ("multi", {"embedding.models.ESM.enabled": True, "embedding.models.Prot-T5.layer_index": [0, 1]}),
    ],
)
def test_golden_files(golden, case, expected):
    path = golden / "outputs" / case / "config.yaml"
    notes = []
    config = load_config(path, note=notes.append)
    assert config.input == str(golden / "inputs" / "queries.h5")
    assert (config.only_lookup, config.prefix, config.limit_per_entry) == (True, f"small_{case}", 5)
    assert (config.batch_size, config.threads, config.topgo, config.precision) == (516, 2, True, 4)
    assert (config.redundancy_filter, config.alignment_coverage) == (0, 0)
    plain = config.model_dump(mode="json")
    for key, value in {"embedding.distance_metric": "cosine", "taxonomy_ids_to_exclude": [], **expected}.items():
        found = plain
        for part in key.split("."):
            found = found[part]
        assert found == value, key
    assert len(notes) == len(set(notes))
    assert all("\n" not in line for line in notes)


def test_golden_files__our_defaults_of_the_summary_are_fantasias(golden):
    settings = yaml.safe_load((golden / "outputs" / "cosine_k5" / "config.yaml").read_text())
    ours = make_config({"input": "a", **MODELS}).postprocess
    theirs = make_config({"input": "a", **MODELS, "postprocess": settings["postprocess"]}).postprocess
    assert theirs.summary.column_weights == ours.summary.column_weights
    same = theirs.summary.model_copy(update={"weights": ours.summary.weights})  # two of which they spell in another way
    assert theirs.model_copy(update={"summary": same}) == ours


def test_every_line_is_accounted_for(golden):
    settings = yaml.safe_load((golden / "outputs" / "cosine_k5" / "config.yaml").read_text())
    before = copy.deepcopy(settings)
    translated, notes = translate(settings)
    assert settings == before
    gone = [key for key in settings if key not in translated and key not in ("lookup",)]
    for key in [
        *gone,
        *(f"lookup.{key}" for key in settings["lookup"] if not isinstance(settings["lookup"][key], dict)),
    ]:
        assert any(line.startswith(key) for line in notes), key
    assert not any("clave" in line or "guest" in line for line in notes)  # no password is repeated


@pytest.mark.parametrize("nested", [True, False], ids=["within_lookup", "at_the_root"])
def test_groups__both_places(nested):
    groups = {
        "redundancy": {"identity": 0.65, "coverage": 0.7, "threads": 10},
        "taxonomy": {"exclude": ["9606"], "include_only": [], "get_descendants": True},
    }
    settings, notes = translate({"lookup": {"batch_size": 5, **groups}} if nested else {"lookup": None, **groups})
    assert settings["redundancy_filter"] == 0.65
    assert settings["alignment_coverage"] == 0.7
    assert settings["threads"] == 10
    assert settings["taxonomy_ids_to_exclude"] == ["9606"]
    assert settings["get_descendants"] is True
    assert "redundancy.identity is now redundancy_filter" in notes
    assert "lookup" not in settings


def test_redundancy__off_means_no_coverage():
    settings, notes = translate({"redundancy": {"identity": 0, "coverage": 0.7}})
    assert settings["alignment_coverage"] == 0
    assert any("the redundancy filter is off" in line for line in notes)


@pytest.mark.parametrize("late", [True, False])
def test_distance_metric__moves_into_embedding_wherever_it_stands(late):
    lookup, embedding = {"lookup": {"distance_metric": "euclidean"}}, {"embedding": {"device": "cpu"}}
    settings, _ = translate({**embedding, **lookup} if late else {**lookup, **embedding})
    assert settings["embedding"] == {"device": "cpu", "distance_metric": "euclidean"}


@pytest.mark.parametrize(("value", "kind"), [(False, "local"), (True, None)])
def test_use_gpu(value, kind):
    settings, notes = translate({"lookup": {"use_gpu": value}})
    assert settings.get("cluster", {}).get("kind") == kind
    assert "lookup.use_gpu" in notes[0]


def test_limit_execution__is_not_silently_dropped():
    assert any("all proteins are used" in line for line in translate({"limit_execution": 20})[1])


def test_donors__the_difference_is_told_unless_chosen():
    assert any(line.startswith("donors is annotated") for line in translate({"lookup": {}})[1])
    assert not any(line.startswith("donors is annotated") for line in translate({"lookup": {}, "donors": "all"})[1])


def test_older_flat_file():
    settings, notes = translate(
        {
            "max_workers": 1,
            "embeddings_url": "https://example.org/embeddings.tar",
            "fantasia_input_fasta": "worm.fasta",
            "fantasia_prefix": "worm",
            "lookup_reference_tag": 0,
            "limit_per_entry": 10,
            "length_filter": 5000000,
            "redundancy_filter": 0,
            "sequence_queue_package": 64,
            "topgo?": True,
            **MODELS,
        }
    )
    config = make_config(settings)
    assert (config.prefix, config.limit_per_entry, config.topgo) == ("worm", 10, True)
    assert "fantasia_prefix is now prefix" in notes


def test_unknown_keys__are_left_for_the_check_to_name():
    settings, _ = translate({"input": "a", **MODELS, "lookup": {"limit_per_entri": 3}})
    with pytest.raises(InputError, match=r"lookup.limit_per_entri"):
        make_config(settings)


def test_is_fantasia__ours_is_not(root):
    for path in (root / "config").glob("*.yaml"):
        assert not is_fantasia(yaml.safe_load(path.read_text())), path


def test_translate__twice_changes_nothing_more():
    once, _ = translate({"input": "a", **MODELS, "DB_HOST": "h", "lookup": {"limit_per_entry": 2, "use_gpu": False}})
    assert not is_fantasia(once)
    assert make_config(once) == make_config(translate(once)[0])
