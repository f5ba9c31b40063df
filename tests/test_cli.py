import subprocess
import sys
import types
import warnings

import pytest
import yaml

from fantasia_dask import cli
from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.reference import info

MINIMAL = {"input": "ants.fasta", "embedding": {"models": {"ESM": None}}}


def run(*arguments):
    """Run the command line and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return caught.value.code


@pytest.fixture
def pipeline(monkeypatch):
    """A pipeline that does nothing but remember what it was asked."""
    asked = {}

    def run_pipeline(config, **more):
        asked["config"] = config
        return types.SimpleNamespace(text=lambda: "10 proteins annotated")

    def build_reference(out, **options):
        asked["build"] = (out, options)
        return out

    fake = types.ModuleType("fantasia_dask.pipeline")
    fake.run, fake.build_reference = run_pipeline, build_reference
    monkeypatch.setitem(sys.modules, "fantasia_dask.pipeline", fake)
    monkeypatch.setattr(info, "describe_reference", lambda made: f"what {made} holds")
    return types.SimpleNamespace(asked=asked, module=fake)


@pytest.fixture
def bundle(monkeypatch):
    """A reference bundle that needs no files."""
    fake = types.ModuleType("fantasia_dask.reference.bundle")
    fake.describe = lambda path: f"what {path} holds"
    fake.verify_reference = lambda path: 7
    monkeypatch.setitem(sys.modules, "fantasia_dask.reference.bundle", fake)
    return fake


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, **settings):
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**MINIMAL, **settings}))
    return str(path)


def test_run__summary_on_stdout(here, pipeline, capsys):
    assert run("run", write(here / "ants.yaml")) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("10 proteins annotated\n", "")


def test_run__default_configuration(here, pipeline):
    write(here / "config" / "experiment.yaml", prefix="default")
    assert run("run") == 0
    assert pipeline.asked["config"].prefix == "default"


def test_run__no_configuration(here, pipeline, capsys):
    assert run("run") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no configuration is given")
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_run__flags_and_set(here, pipeline):
    path = write(here / "config" / "ants.yaml", limit_per_entry=9)
    arguments = ["--input", "bees.fasta", "--prefix", "007", "--base-directory", "out", "--reference", "ref", "-k", "3"]
    arguments += [
        "--device",
        "cpu",
        "--batch-size",
        "64",
        "--only-embedding",
        "--set",
        "embedding.models.ESM.layer_index=2",
    ]
    assert run("run", path, *arguments) == 0
    config = pipeline.asked["config"]
    assert config.input == str(here / "bees.fasta")
    assert config.run_folder == here / "out" / "experiments" / "007"
    assert (config.reference, config.limit_per_entry, config.batch_size) == (here / "ref", 3, 64)
    assert (config.embedding.device, config.only_embedding, config.only_lookup) == ("cpu", True, False)
    assert config.embedding.models["ESM"].layer_index == (2,)


def test_run__scheduler_flag_replaces_that_of_the_file(here, pipeline):
    path = write(here / "ants.yaml", cluster={"kind": "scheduler_file", "scheduler_file": "s.json"})
    assert run("run", path, "--scheduler", "tcp://a:1") == 0
    cluster = pipeline.asked["config"].cluster
    assert (cluster.kind, cluster.address, cluster.scheduler_file) == ("address", "tcp://a:1", None)


def test_run__scheduler_flag_replaces_slurm(here, pipeline):
    path = write(here / "ants.yaml", cluster={"memory_limit": "8GB", "slurm": {"partition": "long"}})
    assert run("run", path, "--scheduler-file", "s.json") == 0
    cluster = pipeline.asked["config"].cluster
    assert (cluster.kind, cluster.slurm, cluster.scheduler_file) == ("scheduler_file", None, here / "s.json")


def test_run__both_schedulers(here, pipeline, capsys):
    assert run("run", write(here / "ants.yaml"), "--scheduler", "tcp://a:1", "--scheduler-file", "s.json") == 2
    assert "both set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--device", "gpu"], "embedding.device given as an override is 'gpu'"),
        (["--set", "nonsense"], "expected KEY=VALUE"),
        (["--set", "limit_per_entri=1"], "Did you mean limit_per_entry?"),
        (["--only-lookup", "--only-embedding"], "only_lookup and only_embedding are both true"),
        (["-k", "0"], "limit_per_entry given as an override is 0"),
        (["--prefix", "../x"], "expected a plain folder name"),
    ],
)
def test_run__mistakes_are_one_sentence(here, pipeline, capsys, arguments, complaint):
    assert run("run", write(here / "ants.yaml"), *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert complaint in err
    assert err.count("\n") == 1
    assert "config" not in pipeline.asked


@pytest.mark.parametrize(
    "arguments", [["--devise", "cpu"], ["-k", "three"], ["a.yaml", "b.yaml"], ["--length_filter", "1"]]
)
def test_run__unknown_flags_are_errors(here, pipeline, capsys, arguments):
    assert run("run", *arguments) == 2
    assert "config" not in pipeline.asked
    assert "Error" in capsys.readouterr().err


def test_unknown_flag__suggestion(capsys):
    assert run("run", "--only-lookups") == 2
    assert "Did you mean '--only-lookup'" in " ".join(capsys.readouterr().err.split())


def test_run__notes_and_warnings_are_lines_on_stderr(here, pipeline, capsys):
    pipeline.module.run = lambda config, **more: (
        warnings.warn("a packet is small", FantasiaWarning, stacklevel=1)
        or (types.SimpleNamespace(text=lambda: "done"))
    )
    assert run("run", write(here / "ants.yaml", lookup={"limit_per_entry": 1})) == 0
    out, err = capsys.readouterr()
    assert out == "done\n"
    assert "note: lookup.limit_per_entry is now limit_per_entry" in err.splitlines()
    assert "warning: a packet is small" in err.splitlines()


def test_mistake_found_by_the_pipeline(here, pipeline, capsys):
    def fail(config, **more):
        raise InputError("ants.fasta holds no protein.")

    pipeline.module.run = fail
    assert run("run", write(here / "ants.yaml")) == 2
    assert capsys.readouterr().err == "error: ants.fasta holds no protein.\n"


def test_interrupted(here, pipeline, capsys):
    def interrupt(config, **more):
        raise KeyboardInterrupt

    pipeline.module.run = interrupt
    assert run("run", write(here / "ants.yaml")) == 130
    assert "interrupted" in capsys.readouterr().err


def test_bug__keeps_its_traceback_and_asks_for_a_report(here, pipeline):
    def break_down(config, **more):
        raise RuntimeError("boom")

    pipeline.module.run = break_down
    with pytest.raises(RuntimeError, match="boom") as caught:
        cli.main(["run", write(here / "ants.yaml")])
    assert "Please report it" in caught.value.__notes__[0]


BUILD = ["reference", "build", "out", "--fasta", "f.fa", "--ontology", "go.obo", "--model", "Uni"]


def test_reference_build__options(pipeline, capsys):
    arguments = ["--annotations", "a.gaf", "--annotations", "b.gaf", "--evidence", "EXP,IDA", "--evidence", "TAS"]
    arguments += ["--embeddings", "v.npz", "--layer", "1", "--layer", "2", "--vectors-key", "x", "--dtype", "float16"]
    assert run(*BUILD, *arguments) == 0
    out, options = pipeline.asked["build"]
    assert out == "out"
    assert options["annotations"] == ["a.gaf", "b.gaf"]
    assert options["evidence"] == ["EXP", "IDA", "TAS"]
    assert options["embeddings"] == ["v.npz"]
    assert tuple(options["layers"]) == (1, 2)
    assert (options["vectors_key"], options["dtype"], options["device"]) == ("x", "float16", None)
    assert options["overrides"] == {}
    assert capsys.readouterr().out == "what out holds\n"


def test_reference_build__defaults(pipeline):
    assert run(*BUILD, "--annotations", "a.gaf") == 0
    _, options = pipeline.asked["build"]
    assert options["evidence"] is None
    assert options["embeddings"] is None
    assert options["layers"] is None


def test_reference_build__settings_of_a_run(pipeline):
    arguments = ["--config", "run.yaml", "--set", "embedding.cache=kept", "--scheduler-file", "s.json"]
    assert (
        run("reference", "build", "out", "--fasta", "f.fa", "--ontology", "go.obo", "--annotations", "a", *arguments)
        == 0
    )
    _, options = pipeline.asked["build"]
    assert (options["config"], options["model"]) == ("run.yaml", None)
    assert options["overrides"]["embedding.cache"] == "kept"
    assert options["overrides"]["cluster.scheduler_file"] == "s.json"


def test_reference_build__every_option_is_one_of_build_reference():
    import inspect

    pipeline = pytest.importorskip("fantasia_dask.pipeline")
    known = set(inspect.signature(pipeline.build_reference).parameters)
    assert {parameter.name for parameter in cli.build_command.params} - {
        "settings",
        "scheduler",
        "scheduler_file",
    } <= known


def test_reference_build__missing_option(capsys):
    assert run("reference", "build", "out", "--fasta", "f.fa") == 2
    assert "--annotations" in capsys.readouterr().err


def test_reference_info_and_verify(bundle, capsys):
    assert run("reference", "info", "ref") == 0
    assert run("reference", "verify", "ref") == 0
    assert capsys.readouterr().out.splitlines() == ["what ref holds", "ref: 7 files are as they were written."]


def test_reference_verify__damaged(bundle, capsys):
    def damaged(path):
        raise InputError("proteins.parquet is damaged.")

    bundle.verify_reference = damaged
    assert run("reference", "verify", "ref") == 2
    assert capsys.readouterr().err == "error: proteins.parquet is damaged.\n"


def test_version(capsys):
    from fantasia_dask._version import __version__

    assert run("--version") == 0
    assert __version__ in capsys.readouterr().out


def test_help__imports_nothing_heavy():
    heavy = ("torch", "transformers", "numpy", "dask", "distributed", "pandas", "zarr", "pydantic", "numba", "pyarrow")
    program = (
        "import sys\nfrom fantasia_dask.cli import main\n"
        "try:\n    main(['run', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "--limit-per-entry" in done.stdout


def test_process__exit_code_and_no_traceback(here):
    done = subprocess.run(
        [sys.executable, "-c", "from fantasia_dask.cli import main; main()", "run", "none.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: none.yaml does not exist: expected a configuration file (YAML).\n"
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["run"], ["reference", "info"], ["report"], ["doctor"]])
def test_a_name_that_is_too_long(command, capsys):
    assert run(*command, "a" * 300) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
