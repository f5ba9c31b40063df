import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.config import known_keys, make_config
from fantasia_dask.errors import InputError

MINIMAL = {"input": "ants.fasta", "embedding": {"models": {"ESM": None}}}


def with_model(**settings):
    return {"input": "ants.fasta", "embedding": {"models": {"ESM": settings}}}


def test_every_setting_is_described():
    for key, field in known_keys().items():
        assert field.description, key
        assert field.description.endswith("."), key


def test_frozen():
    config = make_config(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.limit_per_entry = 3


def test_defaults():
    config = make_config(MINIMAL)
    assert (config.batch_size, config.limit_per_entry, config.donors) == (1024, 5, "annotated")
    assert config.embedding.models["ESM"].layer_index == (0,)
    assert config.embedding.distance_metric == "cosine"
    assert config.cluster.kind == "auto"


@pytest.mark.parametrize("threshold", [0, 0.0, False, None])
def test_distance_threshold__none(threshold):
    assert make_config(with_model(distance_threshold=threshold)).embedding.models["ESM"].distance_threshold is None


@pytest.mark.parametrize("threshold", [-0.1, True, float("nan"), float("inf"), "near"])
def test_distance_threshold__wrong(threshold):
    with pytest.raises(InputError, match=r"embedding.models.ESM.distance_threshold"):
        make_config(with_model(distance_threshold=threshold))


@pytest.mark.parametrize(("given", "layers"), [(2, (2,)), ([0], (0,)), ([2, 0, 1], (2, 0, 1))])
def test_layer_index(given, layers):
    assert make_config(with_model(layer_index=given)).embedding.models["ESM"].layer_index == layers


@pytest.mark.parametrize("layers", [[], None, [0, 0], [-1], -1, "last", 0.5, True, [[0]]])
def test_layer_index__wrong(layers):
    with pytest.raises(InputError, match=r"embedding.models.ESM.layer_index"):
        make_config(with_model(layer_index=layers))


@pytest.mark.parametrize("prefix", ["", ".", "..", "a/b", "a\\b", "/a", "-rf", "a\nb", "a\0", " a", "x" * 300, 7, None])
def test_prefix__not_a_folder_name(prefix):
    with pytest.raises(InputError, match=r"^prefix in"):
        make_config({**MINIMAL, "prefix": prefix})


@given(st.text(max_size=30))
def test_prefix__never_leaves_the_base_directory(prefix):
    try:
        config = make_config({**MINIMAL, "prefix": prefix, "base_directory": "/runs"})
    except (InputError, UnicodeEncodeError):
        return
    assert config.run_folder.resolve().parent.parts == ("/", "runs", "experiments")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limit_per_entry", 0),
        ("limit_per_entry", True),
        ("limit_per_entry", 2.5),
        ("batch_size", 0),
        ("threads", 0),
        ("precision", -1),
        ("precision", 18),
        ("redundancy_filter", 30),
        ("alignment_coverage", -0.1),
        ("donors", "some"),
        ("only_lookup", "perhaps"),
        ("taxonomy_ids_to_exclude", [True]),
        ("taxonomy_ids_to_exclude", [0]),
        ("taxonomy_ids_to_exclude", [""]),
        ("taxonomy_ids_to_exclude", [9606, -1]),
        ("reference", 5),
        ("reference", ""),
        ("alignments", "fast"),
        ("embedding", None),
        ("cluster", []),
    ],
)
def test_wrong_value__names_the_key(key, value):
    with pytest.raises(InputError, match=rf"^{key} in the configuration is "):
        make_config({**MINIMAL, key: value})


def test_taxa__numbers_and_names():
    config = make_config({**MINIMAL, "taxonomy_ids_to_exclude": ["9606", 10090, "Insecta"]})
    assert config.taxonomy_ids_to_exclude == (9606, 10090, "Insecta")
    assert make_config({**MINIMAL, "taxonomy_ids_to_exclude": 9606}).taxonomy_ids_to_exclude == (9606,)
    assert make_config({**MINIMAL, "taxonomy_ids_to_exclude": None}).taxonomy_ids_to_exclude == ()


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("8 GiB", 8 * 2**30), ("1.5gb", 1_500_000_000), (1024, 1024), ("500", 500)]
)
def test_memory_limit(text, size):
    from dask.utils import parse_bytes

    assert make_config({**MINIMAL, "cluster": {"memory_limit": text}}).cluster.memory_limit == size == parse_bytes(text)


@pytest.mark.parametrize("text", ["9" * 400, "lots", "8 giraffes", "-1GB", 0, True, ""])
def test_memory_limit__wrong(text):
    with pytest.raises(InputError, match=r"cluster.memory_limit"):
        make_config({**MINIMAL, "cluster": {"memory_limit": text}})


def test_cluster__kind_follows_from_what_is_given():
    assert make_config({**MINIMAL, "cluster": {"address": "tcp://a:1"}}).cluster.kind == "address"
    assert make_config({**MINIMAL, "cluster": {"scheduler_file": "s.json"}}).cluster.kind == "scheduler_file"
    assert make_config({**MINIMAL, "cluster": {"memory_limit": "8GB", "slurm": {}}}).cluster.kind == "slurm"


@pytest.mark.parametrize(
    "cluster",
    [
        {"address": "tcp://a:1", "scheduler_file": "s.json"},
        {"kind": "local", "address": "tcp://a:1"},
        {"kind": "address"},
        {"kind": "scheduler_file", "address": "tcp://a:1"},
        {"kind": "slurm"},
        {"kind": "local", "memory_limit": "8GB", "slurm": {}},
        {"address": "tcp://a:1", "memory_limit": "8GB", "slurm": {}},
    ],
)
def test_cluster__contradiction(cluster):
    with pytest.raises(InputError, match=r"^the configuration: cluster\."):
        make_config({**MINIMAL, "cluster": cluster})


def slurm(**settings):
    return make_config({**MINIMAL, "cluster": {"memory_limit": "8GB", "slurm": settings}}).cluster.slurm


def test_slurm__lines():
    asked = slurm(walltime="2-00:00:00", directives="--gpus=1", prologue=["module load cuda", "ulimit -n 4096"])
    assert asked.walltime == "2-00:00:00"
    assert asked.directives == ("--gpus=1",)
    assert asked.prologue == ("module load cuda", "ulimit -n 4096")


@pytest.mark.parametrize(
    "wrong",
    [{"walltime": yaml.safe_load("12:00:00")}, {"walltime": 90}, {"walltime": "long"}, {"directives": ["--a\n--b"]}],
)
def test_slurm__wrong(wrong):
    (key,) = wrong
    with pytest.raises(InputError, match=rf"^cluster\.slurm\.{key} in the configuration is .*expected"):
        slurm(**wrong)


def test_models__one_must_be_enabled():
    with pytest.raises(InputError, match=r"embedding.models: no model is enabled"):
        make_config(with_model(enabled=False))
    with pytest.raises(InputError, match=r"embedding.models: no model is enabled"):
        make_config({"input": "a", "embedding": {}})


@pytest.mark.parametrize("name", ["E/M", "", "../x", ".x", "a b"])
def test_models__name(name):
    with pytest.raises(InputError, match=r"embedding.models"):
        make_config({"input": "a", "embedding": {"models": {name: None}}})


def test_stages__both():
    with pytest.raises(InputError, match="only_lookup and only_embedding are both true"):
        make_config({**MINIMAL, "only_lookup": True, "only_embedding": True})


def test_redundancy__identity_without_an_identity():
    with pytest.raises(InputError, match="redundancy_mode is identity, but redundancy_filter is 0"):
        make_config({**MINIMAL, "redundancy_mode": "identity"})
    assert make_config({**MINIMAL, "redundancy_mode": "identity", "redundancy_filter": 0.9})


def test_effective_batch_size():
    config = make_config({**with_model(batch_size=32), "embedding": {"queue_batch_size": 8, "models": {"ESM": None}}})
    assert config.embedding.effective_batch_size("ESM") == 8


def test_require_reference__missing():
    with pytest.raises(InputError, match="reference is not set"):
        make_config(MINIMAL).require_reference()


@pytest.mark.parametrize(
    "summary",
    [
        {"metrics": {"identitty": ["max"]}},
        {"metrics": {"identity": ["median"]}},
        {"metrics": {"organism": ["max"]}},
        {"aliases": {"nothing": "n"}},
        {"weights": {"max_idg": 0.2}},
        {"weights": {"count": -1}},
        {"weights": {"identity": {"median": 1}}},
        {"weights": {"count": float("nan")}},
        {"weights": {"reliability_index": {"mean": 1}, "count": 1}},
        {"weights": {"count": 1}, "include_counts": False},
        {"weights": {"max_id_g": 1}, "aliases": {"identity": "global"}},
        {"weights": {"max_id_g": 1, "identity": {"max": 1}}},
    ],
)
def test_summary__unknown_columns(summary):
    with pytest.raises(InputError, match=r"postprocess\.summary\.(metrics|aliases|weights)"):
        make_config({**MINIMAL, "postprocess": {"summary": summary}})


def summary(**settings):
    return make_config({**MINIMAL, "postprocess": {"summary": settings}}).postprocess.summary


USUAL = {"max_ri": 0.4, "max_id_g": 0.2, "max_id_l": 0.2, "count": 0.2}
SPELT_OUT = {"reliability_index": {"max": 0.4}, "max_id_g": 0.2, "max_id_l": 0.2, "count": 0.2}
"""As in the configuration files of FANTASIA."""


@pytest.mark.parametrize("weights", [{}, {"weights": SPELT_OUT}])
def test_summary__the_default_weights_ask_for_the_columns_there_are(weights):
    assert summary(**weights).column_weights == USUAL
    assert summary(**weights, include_counts=False).column_weights == {k: USUAL[k] for k in USUAL if k != "count"}
    few = summary(**weights, metrics={"reliability_index": ["max"]})
    assert few.column_weights == {"max_ri": 0.4, "count": 0.2}
    assert summary(**weights, metrics={}, include_counts=False).column_weights == {}
    assert few.weights == summary(**weights).weights  # so that the columns may come back


def test_summary__the_default_weights_follow_the_names_of_columns():
    renamed = summary(aliases={"reliability_index": "ri", "identity": "global", "identity_sw": "local"})
    assert renamed.column_weights == {"max_ri": 0.4, "max_global": 0.2, "max_local": 0.2, "count": 0.2}


def test_summary__a_weight_of_zero_asks_for_nothing():
    assert summary(weights={"count": 0, "max_ri": 1}).column_weights == {"count": 0, "max_ri": 1}
    assert summary(weights={"count": 0, "max_ri": 1}, include_counts=False).column_weights == {"max_ri": 1}


def test_summary__a_weight_without_a_column_is_told_in_full():
    with pytest.raises(InputError) as caught:
        summary(weights={"reliability_index": {"mean": 1}}, metrics={"reliability_index": ["min", "max"]})
    assert str(caught.value) == (
        "the configuration: postprocess.summary.weights.reliability_index.mean is 1.0, but the summary has no column "
        "mean_ri: expected one of min_ri, max_ri, count, or another setting of metrics or include_counts."
    )


@pytest.mark.parametrize(
    ("settings", "column"),
    [
        ({"aliases": {"reliability_index": "id_g", "identity": "id_g"}}, "max_id_g"),
        ({"aliases": {"reliability_index": "identity"}}, "max_identity"),
        ({"weighted_prefix": ""}, "max_ri"),
    ],
)
def test_summary__two_columns_of_one_name(settings, column):
    with pytest.raises(InputError, match=rf"two columns would be called {column}\b"):
        summary(**settings)
