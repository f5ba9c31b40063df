from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.config import (
    dump_config,
    known_keys,
    load_config,
    make_config,
    parse_overrides,
    warn_bounded_batches,
)
from fantasia_dask.errors import FantasiaWarning, InputError

MINIMAL = {"input": "ants.fasta", "embedding": {"models": {"ESM": None}}}


@pytest.fixture
def ants(tmp_path):
    """A configuration file, and the function that writes other settings into it."""

    def write(**settings):
        path = tmp_path / "ants.yaml"
        path.write_text(yaml.safe_dump({**MINIMAL, **settings}))
        return path

    return write


OPTIONAL_GROUPS = ("cluster.security.", "cluster.slurm.")
"""Groups that are null unless they are needed."""


def dotted(mapping, prefix=""):
    """The keys of a nested mapping, with the names of models replaced."""
    keys = {}
    for key, value in mapping.items():
        name = "<Key>" if prefix == "embedding.models." else key
        groups = {"embedding", "cluster", "postprocess", "postprocess.summary", "embedding.models"}
        groups |= {"sources", "sources.reference", "sources.ontology", "sources.taxonomy_dump"}
        if prefix + key in groups or name == "<Key>":
            keys |= dotted(value, f"{prefix}{name}.")
        else:
            keys[prefix + name] = value
    return keys


def test_files_of_config_load(root):
    files = sorted((root / "config").glob("*.yaml"))
    assert {file.name for file in files} >= {"experiment.yaml", "reference.yaml", "laptop.yaml", "slurm.yaml"}
    for file in files:
        assert load_config(file).run_folder.is_absolute()


def test_reference_yaml__lists_every_key_with_its_default(root):
    path = root / "config" / "reference.yaml"
    listed = dotted(yaml.safe_load(path.read_text()))
    optional = {key for key in known_keys() if key.startswith(OPTIONAL_GROUPS)}
    assert set(listed) - {"cluster.security", "cluster.slurm"} == set(known_keys()) - optional
    for key in optional:
        assert f"#   {key.rpartition('.')[2]}:" in path.read_text()
    config = load_config(path)
    minimal = make_config(
        {"input": "my_proteins.fasta", "embedding": {"models": {"Prot-T5": None}}}, folder=path.parent
    )
    assert config == minimal


def test_reference_yaml__a_comment_above_every_key(root):
    lines = (root / "config" / "reference.yaml").read_text().splitlines()
    groups = ("embedding:", "cluster:", "postprocess:", "models:", "summary:", "Prot-T5:", "metrics:", "aliases:")
    inside = ""
    for before, line in pairwise(lines):
        depth = len(line) - len(line.lstrip())
        if inside and depth > len(inside) - len(inside.lstrip()):
            continue
        inside = line if line.strip() in ("metrics:", "aliases:", "weights:") else ""
        if line.strip() and not line.strip().startswith(("#", *groups)):
            assert before.strip().startswith("#"), line


def test_experiment_yaml__is_the_sample(root):
    config = load_config(root / "config" / "experiment.yaml")
    assert config.run_folder == root / "experiments" / "sample"
    assert config.reference == root / "fantasia_dask" / "sample" / "reference"
    assert config.embedding.models["Tiny-ESM2"].checkpoint == root / "fantasia_dask" / "sample" / "tiny-esm2"


def test_unknown_key__the_nearest_is_named(ants):
    path = ants(embedding={"distence_metric": "cosine", "models": {"ESM": None}})
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"unknown key embedding.distence_metric in {path}. Did you mean embedding.distance_metric?"
    )


@pytest.mark.parametrize(
    ("settings", "unknown", "known"),
    [
        ({"limit_per_entri": 5}, "limit_per_entri", "limit_per_entry"),
        ({"distance_metric": "cosine"}, "distance_metric", "embedding.distance_metric"),
        ({"queue_batch_siz": 3}, "queue_batch_siz", "embedding.queue_batch_size"),
        ({"cluster": {"addr": "a"}}, "cluster.addr", "cluster.address"),
        (
            {"embedding": {"models": {"Prot-T5": {"batchsize": 1}}}},
            "embedding.models.Prot-T5.batchsize",
            "embedding.models.Prot-T5.batch_size",
        ),
    ],
)
def test_unknown_key__anywhere(settings, unknown, known):
    with pytest.raises(InputError, match=rf"unknown key {unknown} in the configuration. Did you mean {known}?"):
        make_config({**MINIMAL, **settings})


def test_unknown_key__nothing_near():
    with pytest.raises(InputError) as caught:
        make_config({**MINIMAL, "zebra": 1})
    assert str(caught.value) == "unknown key zebra in the configuration."


def test_unknown_key__comes_before_what_it_leaves_missing():
    with pytest.raises(InputError, match=r"unknown key inptu .* Did you mean input"):
        make_config({"inptu": "a", "embedding": {"models": {"ESM": None}}})


def test_missing_key():
    with pytest.raises(InputError, match="input is missing in the configuration"):
        make_config({"embedding": {"models": {"ESM": None}}})


def test_key_that_is_no_text():
    with pytest.raises(InputError, match="expected a key that is text"):
        make_config({**MINIMAL, 1: 2})


def test_paths__of_the_file_are_seen_from_its_folder(ants, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    path = ants(
        base_directory="runs", reference="../reference", ontology="/go.obo", cluster={"scheduler_file": "s.json"}
    )
    config = load_config(path)
    assert config.input == str(tmp_path / "ants.fasta")
    assert config.run_folder == tmp_path / "runs" / "experiments" / "fantasia"
    assert config.reference == tmp_path.parent / "reference"
    assert config.ontology == Path("/go.obo")
    assert config.cluster.scheduler_file == tmp_path / "s.json"


def test_paths__of_overrides_are_seen_from_the_current_folder(ants, tmp_path, monkeypatch):
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    config = load_config(ants(), {"input": "bees.fasta", "embedding.models.ESM.checkpoint": "esm"})
    assert config.input == str(here / "bees.fasta")
    assert config.embedding.models["ESM"].checkpoint == here / "esm"
    assert config.base_directory == tmp_path


def test_paths__home_and_standard_input(ants, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    config = load_config(ants(input="-", reference="~/reference"))
    assert config.input == "-"
    assert config.reference == Path("/home/ada/reference")


def test_every_path_is_anchored(tmp_path):
    texts = {key: "x" for key, field in known_keys().items() if "Path" in str(field.annotation) or key == "input"}
    texts = {key.replace("<Key>", "ESM"): value for key, value in texts.items()}
    assert len(texts) >= 9
    config = make_config(MINIMAL, texts)
    for key in texts:
        value = config.model_dump(mode="json")
        for part in key.split("."):
            value = value[part]
        assert Path(value).is_absolute(), key


def test_overrides__win_over_the_file(ants):
    path = ants(limit_per_entry=7, embedding={"device": "cuda", "models": {"ESM": {"batch_size": 3}}})
    config = load_config(path, ["limit_per_entry=2", "embedding.device=cpu", "embedding.models.ESM.layer_index=[0, 2]"])
    assert (config.limit_per_entry, config.embedding.device) == (2, "cpu")
    assert (config.embedding.models["ESM"].batch_size, config.embedding.models["ESM"].layer_index) == (3, (0, 2))


def test_overrides__a_model_with_dots_in_its_name():
    config = make_config(MINIMAL, ["embedding.models.ESM2.5-b.layer_index=3", "embedding.models.ESM.enabled=false"])
    assert config.embedding.enabled_models["ESM2.5-b"].layer_index == (3,)
    assert list(config.embedding.enabled_models) == ["ESM2.5-b"]


SUMMARY = {"weights": {"count": 1, "max_ri": 2}, "metrics": {"reliability_index": ["max"]}}


@pytest.mark.parametrize(
    ("override", "left"),
    [
        ("postprocess.summary.weights={count: 3}", {"weights": {"count": 3}}),
        ("postprocess.summary.weights={}", {"weights": {}}),
        ("postprocess.summary.weights.count=3", {"weights": {"count": 3, "max_ri": 2}}),
        ("postprocess.summary={metrics: {reliability_index: [max, min]}}", {"weights": SUMMARY["weights"]}),
        ("postprocess.summary.metrics={identity: [max], reliability_index: [max]}", {"weights": SUMMARY["weights"]}),
        ("postprocess.summary.aliases={reliability_index: ri}", {"aliases": {"reliability_index": "ri"}}),
    ],
)
def test_overrides__a_mapping_with_keys_of_ones_own_is_one_value(ants, override, left):
    """As the same text does in the file: else a weight, metric or alias could never be taken away."""
    path = ants(postprocess={"summary": SUMMARY, "taxon": 9606})
    post = load_config(path, [override]).postprocess
    assert post.model_dump()["summary"].items() >= left.items()
    assert post.taxon == 9606
    key, value = override.split("=")
    assert load_config(path, {key: yaml.safe_load(value)}).postprocess == post


def test_overrides__models_are_those_that_are_given(ants):
    path = ants(embedding={"device": "cpu", "models": {"ESM": {"batch_size": 3}, "Prot-T5": {"batch_size": 4}}})
    for overrides in (["embedding.models={Prot-T5: {}}"], {"embedding": {"models": {"Prot-T5": {}}}}):
        embedding = load_config(path, overrides).embedding
        assert (list(embedding.models), embedding.models["Prot-T5"].batch_size) == (["Prot-T5"], 32)
        assert embedding.device == "cpu"
    one_more = load_config(path, ["embedding.models.Ankh3-Large.batch_size=1"]).embedding.models
    assert [model.batch_size for model in one_more.values()] == [3, 4, 1]


def test_overrides__a_group_of_settings_is_taken_key_by_key(ants):
    path = ants(embedding={"queue_batch_size": 7, "models": {"ESM": {"batch_size": 3, "layer_index": [1]}}})
    for overrides in (
        {"embedding": {"device": "cpu", "models": {"ESM": {"batch_size": 3, "layer_index": [1]}}}},
        {"embedding": {"device": "cpu"}, "embedding.models.ESM": {"layer_index": [1]}},
        ["embedding={device: cpu}", "embedding.models.ESM={}"],
        ["embedding.device=cpu", "embedding={}"],
    ):
        embedding = load_config(path, overrides).embedding
        assert (embedding.device, embedding.queue_batch_size) == ("cpu", 7)
        assert (embedding.models["ESM"].batch_size, embedding.models["ESM"].layer_index) == (3, (1,))
    slurm = {"cluster": {"memory_limit": "8GB", "slurm": {}}}
    assert load_config(path, slurm).cluster.kind == "slurm"


def test_overrides__leave_what_they_are_given():
    settings = {**MINIMAL, "postprocess": {"summary": {"weights": {"count": 1}}}}
    overrides = {"postprocess.summary.weights": {"count": 2}}
    summary = make_config(settings, {**overrides, "postprocess.summary.weights.max_ri": 3}).postprocess.summary
    assert summary.weights == {"count": 2, "max_ri": 3}
    # Of a default that the file leaves alone, too, the rest stays.
    usual = make_config(MINIMAL, {"postprocess.summary.weights.identity.max": 3}).postprocess.summary
    assert usual.column_weights == {"max_ri": 0.4, "max_id_g": 3, "max_id_l": 0.2, "count": 0.2}
    twice = "an override: postprocess.summary.weights.max_id_g and weights.identity.max both weigh max_id_g"
    with pytest.raises(InputError, match=twice):
        make_config(MINIMAL, {"postprocess.summary.weights.max_id_g": 3})
    assert settings["postprocess"]["summary"]["weights"] == {"count": 1}
    assert overrides == {"postprocess.summary.weights": {"count": 2}}


def test_overrides__text_stays_text():
    assert parse_overrides(["prefix=007", "input=a: b", "reference=null", "threads=", "only_lookup=true"]) == {
        "prefix": "007",
        "input": "a: b",
        "reference": None,
        "threads": None,
        "only_lookup": True,
    }


@pytest.mark.parametrize("assignment", ["limit_per_entry", "=3", ""])
def test_overrides__no_assignment(assignment):
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        make_config(MINIMAL, [assignment])


def test_overrides__wrong_value_is_not_blamed_on_the_file(ants):
    with pytest.raises(InputError, match=r"embedding.device given as an override is 'gpu'"):
        load_config(ants(), ["embedding.device=gpu"])
    with pytest.raises(InputError, match=r"unknown key embedding.devise given as an override"):
        load_config(ants(), ["embedding.devise=cpu"])


def test_dump__minimal(tmp_path):
    config = make_config(MINIMAL, folder=tmp_path)
    path = tmp_path / "elsewhere.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert set(dotted(yaml.safe_load(path.read_text()))) == {
        key for key in known_keys() if not key.startswith(OPTIONAL_GROUPS)
    } | {"cluster.security", "cluster.slurm"}


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,8}", fullmatch=True)


@given(
    prefix=PLAIN.filter(lambda text: not set(text) & set("/\\") and text[0] not in "-." and len(text.encode()) < 200),
    models=st.dictionaries(
        NAMES,
        st.fixed_dictionaries(
            {"layer_index": st.lists(st.integers(0, 50), min_size=1, unique=True)},
            optional={
                "distance_threshold": st.none() | st.floats(0, 2),
                "checkpoint": PLAIN.filter(lambda text: not text.startswith("~")),
                "family": st.sampled_from(["esm2", "t5", "esmc"]),
            },
        ),
        min_size=1,
        max_size=3,
    ),
    excluded=st.lists(st.integers(1, 10**7) | NAMES.filter(lambda text: not text.isdecimal()), max_size=3),
    memory=st.none() | st.integers(1, 2**50),
)
def test_dump__loads_again_equal(tmp_path_factory, prefix, models, excluded, memory):
    config = make_config(
        {
            "input": "ants.fasta",
            "prefix": prefix,
            "taxonomy_ids_to_exclude": excluded,
            "embedding": {"models": models},
            "cluster": {"memory_limit": memory},
        },
        folder="/somewhere",
    )
    path = tmp_path_factory.mktemp("dump") / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


def test_warn_bounded_batches(recwarn):
    bounded = {"queue_batch_size": 8, "models": {"ESM": {"batch_size": 9}, "Prot-T5": {"batch_size": 8}}}
    config = make_config({"input": "a", "embedding": bounded})
    with pytest.warns(FantasiaWarning, match=r"embedding.models.ESM.batch_size is 9, and a packet holds 8") as caught:
        warn_bounded_batches(config)
    assert len(caught) == 1


def test_load_config__fantasia_file_notes_are_warnings(ants):
    with pytest.warns(FantasiaWarning) as caught:
        config = load_config(ants(lookup={"limit_per_entry": 1}))
    assert "lookup.limit_per_entry is now limit_per_entry" in {str(warning.message) for warning in caught}
    assert config.limit_per_entry == 1


def test_load_config__fantasia_input_seen_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "ants.fasta").write_text(">a\nM\n")
    path = tmp_path / "config" / "config.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, "DB_HOST": "localhost"}))
    monkeypatch.chdir(tmp_path)
    assert load_config(path, note=lambda line: None).input == str(tmp_path / "ants.fasta")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sources": {"folder": " "}}, r"sources\.folder in .* is empty"),
        (
            {"embedding": {"models": {"My.1": {"checkpoint": ""}}}},
            r"embedding\.models\.My\.1\.checkpoint in .* is empty",
        ),
        ({"reference": "a\0b"}, "reference in .* holds a NUL"),
        ({"reference": "~no_such_user/x"}, "reference in .* begins with '~no_such_user', which is no user"),
        ({"postprocess": {"slim": "\ud800"}}, r"postprocess\.slim in .* holds half a surrogate pair"),
        ({"taxonomy_ids_to_exclude": ["\udfff"]}, "taxonomy_ids_to_exclude in .* holds half a surrogate pair"),
    ],
)
def test_text_and_paths__that_are_none(settings, said):
    with pytest.raises(InputError, match=said):
        make_config(MINIMAL | settings)
    [(key, value)] = settings.items()
    with pytest.raises(InputError, match=said.replace(" in .* ", " in an override ")):
        make_config(MINIMAL, {key: value})


def test_load_config__an_input_of_fantasia_whose_name_is_too_long(tmp_path):
    path = tmp_path / "theirs.yaml"
    path.write_text(
        yaml.safe_dump({"DB_HOST": "x", "input": "a" * 300, "embedding": {"models": {"ESM": {"enabled": True}}}})
    )
    assert load_config(path, note=lambda line: None).input == str(tmp_path / ("a" * 300))
