"""What a configuration names comes from a server on this machine: once, whole, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import types
import zipfile

import numpy as np
import pytest

from fantasia_dask import cli, resumable
from fantasia_dask.embed import weights
from fantasia_dask.errors import InputError
from fantasia_dask.pipeline.initialize import initialize
from fantasia_dask.progress import Progress
from fantasia_dask.reference import open_reference, verify_reference
from fantasia_dask.reference.published import PUBLISHED, address_of

QUIET = Progress(quiet=True)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(resumable, "PAUSE_S", 0.0)


def zip_of(folder, root):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{root}/{file.relative_to(folder)}")
    return packed.getvalue()


def tar_of(folder):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name)
    return packed.getvalue()


@pytest.fixture
def lite():
    """FANTASIA-Lite's bundle in a zip file, below a folder."""
    packed, vectors = io.BytesIO(), io.BytesIO()
    np.savez(vectors, prot_t5_ids=["s1", "s2"], prot_t5_embeddings=np.array([[1, 2], [3, 4]], "float16"))
    entry = {"go_id": "GO:0003674", "category": "MF", "go_description": "x", "evidence_code": "IDA"}
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bundle/lookup_table.npz", vectors.getvalue())
        archive.writestr("bundle/annotations.json", json.dumps({"s1": [entry], "s2": [entry]}))
        archive.writestr("bundle/accessions.json", json.dumps({"s1": "P1", "s2": "P2"}))
        archive.writestr("bundle/readme.bin", bytes(200_000))
    return packed.getvalue()


@pytest.fixture
def given(web, sample, sample_config, tmp_path, lite):
    """Everything on the server, nothing here; and the configuration that says so."""
    sources = {
        "sources.reference.url": web.put("/lite.zip", lite),
        "sources.ontology.url": web.put("/go.obo", (sample / "go.obo").read_bytes()),
        "sources.taxonomy_dump.url": web.put("/taxdump.tar.gz", tar_of(sample / "taxonomy")),
    }
    places = {name: str(tmp_path / "made" / name) for name in ("reference", "ontology", "taxonomy_dump")}

    def make(**changes):
        return sample_config(**(places | sources | {key.replace("__", "."): value for key, value in changes.items()}))

    return make


def prepare(config, **options):
    told = []
    initialize(config, tell=told.append, progress=QUIET, **options)
    return told


def refused(config, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        prepare(config, **options)
    assert "\n" not in str(caught.value)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_initialize__everything(given, web, tmp_path, sample):
    config = given()
    told = prepare(config)
    size = sum(len(web.pages[path].content) for path in ("/lite.zip", "/go.obo", "/taxdump.tar.gz"))
    assert told[0].startswith("to be fetched: taxonomy_dump (")
    assert "of disk" in told[0]
    assert size > 0
    assert [line.partition(":")[0] for line in told[1:]] == ["taxonomy_dump", "ontology", "reference", "Tiny-ESM2"]
    reference = open_reference(config.reference)
    assert verify_reference(config.reference)
    assert reference.proteins["accession"].tolist() == ["P1", "P2"]
    # The ontology that was fetched too went into it.
    assert reference.manifest["go_release"]
    assert len(reference.relations)
    assert config.ontology.read_bytes() == (sample / "go.obo").read_bytes()
    names = sorted(path.name for path in config.taxonomy_dump.iterdir())
    assert names == ["merged.dmp", "names.dmp", "nodes.dmp"]
    record = json.loads((tmp_path / "downloads" / "reference" / "downloads.json").read_text())
    assert record["lite.zip"]["sha256"] == hashlib.sha256(web.pages["/lite.zip"].content).hexdigest()
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["ontology", "reference", "taxonomy_dump"]


def test_initialize__a_second_time_does_nothing(given, web, tmp_path):
    prepare(given())
    asked, before = len(web.asked), contents(tmp_path)
    assert all("is there" in line for line in prepare(given())[:3])
    assert all("is there" in line for line in prepare(given(), offline=True)[:3])
    assert (len(web.asked), contents(tmp_path)) == (asked, before)


def test_initialize__offline_says_what_is_missing(given, web):
    refused(given(), r"not on this machine: taxonomy_dump \(.*\), ontology \(.*\), reference \(.*\)", offline=True)
    assert web.asked == []


def test_initialize__offline_finds_damage(given):
    config = given()
    prepare(config)
    (config.reference / "proteins.parquet").write_bytes(b"harmed")
    prepare(config)
    refused(config, "is damaged", offline=True)


def test_initialize__cut_and_called_again(given, web):
    config = given()
    web.pages["/go.obo"].cuts = [70_000, 10_000]
    web.pages["/lite.zip"].cuts = [140_000, 0, 0, 0]
    refused(config, "broke off after 131072 bytes")
    assert not config.reference.exists()
    prepare(config)
    assert open_reference(config.reference).rows == 2
    assert "bytes=131072-" in [headers.get("Range") for _, path, headers in web.asked if path == "/lite.zip"]


def test_initialize__wrong_checksum_leaves_nothing(given, tmp_path):
    config = given(sources__reference__sha256="00" * 32)
    refused(config, "its checksum is not sha256:0000")
    assert not config.reference.exists()
    assert not (tmp_path / "downloads" / "reference" / "lite.zip").exists()


def test_initialize__right_checksum_and_another_one_later(given, lite):
    digest = hashlib.sha256(lite).hexdigest()
    config = given(sources__reference__sha256=digest, sources__reference__size=str(len(lite)))
    prepare(config)
    prepare(config)
    refused(given(sources__reference__sha256="00" * 32), "was made from another file")
    refused(given(sources__reference__url="https://example.org/b.zip"), "was made from another file")


@pytest.mark.parametrize("path", ["/lite.zip", "/go.obo", "/taxdump.tar.gz"])
def test_initialize__a_web_page(given, web, path):
    web.put(path, b"<html><title>log in</title></html>", content_type="text/html")
    config = given()
    refused(config, "answers with a web page: check the address")
    assert not config.reference.exists()


@pytest.mark.parametrize(
    ("path", "content", "match"),
    [
        (
            "/go.obo",
            b"no ontology at all",
            "(cannot be read as OBO|holds no term).* go.obo is not kept: the same",
        ),
        (
            "/taxdump.tar.gz",
            b"no archive",
            "cannot be unpacked.* taxdump.tar.gz is not kept: the same command",
        ),
        (
            "/lite.zip",
            b"PK no archive",
            "cannot be unpacked.* stays at .*downloads.*: if that is what is wrong",
        ),
    ],
)
def test_initialize__other_content(given, web, tmp_path, path, content, match):
    right = web.pages[path]
    web.put(path, content)
    config = given()
    refused(config, match)
    assert not config.reference.exists()
    web.pages[path] = right
    (tmp_path / "downloads" / "reference" / "lite.zip").unlink(missing_ok=True)
    prepare(config)


def test_initialize__half_a_taxonomy_is_not_placed_and_comes_again(given, web, sample, tmp_path):
    """Half of nodes.dmp reads as a dump: its donors would have no ancestors, and pass any filter."""
    shutil.copytree(sample / "taxonomy", tmp_path / "half")
    lines = (sample / "taxonomy" / "nodes.dmp").read_bytes().splitlines(keepends=True)
    (tmp_path / "half" / "nodes.dmp").write_bytes(b"".join(lines[: len(lines) // 2]))
    right = web.pages["/taxdump.tar.gz"]
    web.put("/taxdump.tar.gz", tar_of(tmp_path / "half"))
    config = given()
    refused(config, r"taxdump.tar.gz is no whole NCBI taxonomy dump: taxon \d+ .* nodes.dmp.* fetches it anew")
    assert not config.taxonomy_dump.exists()
    assert not any("lite.zip" in path for path in web.got), "the reference is not fetched in vain"
    web.pages["/taxdump.tar.gz"] = right
    prepare(config)
    assert prepare(config, offline=True)
    shutil.copy(tmp_path / "half" / "nodes.dmp", config.taxonomy_dump)
    refused(config, r"taxonomy_dump is no whole NCBI taxonomy dump.* Remove .*taxonomy_dump, and", offline=True)
    shutil.rmtree(config.reference)
    refused(config, r"taxonomy_dump is no whole NCBI taxonomy dump.* Remove .*taxonomy_dump, and")
    shutil.rmtree(config.taxonomy_dump)
    prepare(config)


def test_initialize__what_a_server_sent_wrong_is_no_measure_of_what_it_sends_later(given, web, tmp_path, lite):
    """The checksum of the first download holds from then on, but not that of one which was of no use."""
    web.put("/lite.zip", b"PK no archive")
    refused(given(), "cannot be unpacked")
    (tmp_path / "downloads" / "reference" / "lite.zip").unlink()
    web.put("/lite.zip", lite)
    prepare(given())


def test_initialize__places_that_cannot_be_written(given, web, tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("reference", "ontology", "taxonomy_dump"):
        refused(given(**{name: str(tmp_path / "file" / "made")}), "nothing can be made in .*file, as it is no folder")
    refused(
        given(sources__folder=str(tmp_path / "file" / "downloads")),
        "nothing can be made in .*downloads, as .*file is no folder",
    )
    with pytest.raises(InputError, match="reference in an override is an address, 's3://bucket/reference'"):
        given(reference="s3://bucket/reference")
    assert web.asked == []


def test_initialize__weights_of_models_are_part_of_the_plan(given, web, monkeypatch):
    monkeypatch.setattr(weights, "is_cached", lambda spec: spec.local)
    models = {"embedding.models.Prot-T5-half.layer_index": [0]}
    monkeypatch.setattr(weights, "fetch_checkpoint", lambda spec: (_ for _ in ()).throw(InputError("no network")))
    config, told = given(**models), []
    with pytest.raises(InputError, match="no network"):
        initialize(config, tell=told.append, progress=QUIET)
    assert "model Prot-T5-half (Rostlab/prot_t5_xl_half_uniref50-enc, 2.4 GB); takes up to 2.4 GB of disk" in told[0]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=2_000_000_000))
    refused(config, r"2.4 GB of disk, and .* has 2.0 GB free: make room")


def test_initialize__archives_of_something_else(given, web, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("x")
    web.put("/taxdump.tar.gz", tar_of(tmp_path / "other"))
    refused(given(), "taxdump.tar.gz has no nodes.dmp")
    (tmp_path / "other" / "nodes.dmp").write_text("1,1,root\n")
    (tmp_path / "other" / "names.dmp").write_text("x")
    web.put("/taxdump2.tar.gz", tar_of(tmp_path / "other"))
    refused(
        given(sources__taxonomy_dump__url=web.address + "/taxdump2.tar.gz"),
        "taxdump2.tar.gz is no whole NCBI taxonomy dump: line 1 of nodes.dmp is cut, or",
    )


def test_initialize__hostile_archive(given, web, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../evil", b"x")
    web.put("/lite.zip", packed.getvalue())
    refused(given(), "outside its folder")
    assert not list(tmp_path.rglob("evil"))


def test_initialize__a_bundle_of_ours(given, web, sample, tmp_path):
    web.put("/bundle.zip", zip_of(sample / "reference", "sample"))
    config = given(sources__reference__url=web.address + "/bundle.zip")
    prepare(config)
    assert contents(config.reference) == contents(sample / "reference")
    shutil.copytree(sample / "reference", tmp_path / "harmed")
    (tmp_path / "harmed" / "terms.parquet").write_bytes(b"harmed")
    web.put("/harmed.zip", zip_of(tmp_path / "harmed", "sample"))
    shutil.rmtree(config.reference)
    refused(given(sources__reference__url=web.address + "/harmed.zip"), "terms.parquet is damaged")
    assert not config.reference.exists()


@pytest.mark.shared
def test_initialize__fantasias_dump(given, web, golden):
    web.put("/pis.backup", (golden / "inputs" / "pis.backup").read_bytes())
    web.put("/go.obo", (golden / "inputs" / "go-basic.obo").read_bytes())
    config = given(sources__reference__url=web.address + "/pis.backup?download=1")
    prepare(config)
    assert len(open_reference(config.reference).spaces) == 3


def test_initialize__packed_ontology(given, web, sample):
    import gzip

    web.put("/go.obo.gz", gzip.compress((sample / "go.obo").read_bytes()))
    config = given(sources__ontology__url=web.address + "/go.obo.gz")
    prepare(config)
    assert config.ontology.read_bytes() == (sample / "go.obo").read_bytes()


def test_initialize__no_address_or_not_ours(given, sample_config, tmp_path, web):
    refused(sample_config(reference=str(tmp_path / "none")), "sources.reference names no address")
    for name in ("reference", "taxonomy_dump", "ontology"):
        config = given()
        place = getattr(config, name)
        place.mkdir(parents=True)
        (place / "thesis.txt").write_text("x")
        refused(config, "exists and is (not a|no) ")
        assert (place / "thesis.txt").read_text() == "x"
        shutil.rmtree(place)
    assert web.asked == []


def test_initialize__no_room(given, monkeypatch, web):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    refused(given(), r"takes up to .* of disk, and .* has 1.0 kB free: make room")
    assert web.got == []


def test_initialize__room_where_things_belong(given, monkeypatch, web):
    """What is fetched, and what is made of it, may be on two disks."""
    from fantasia_dask.pipeline import fetch_plan

    needs, config = [], given()
    monkeypatch.setattr(fetch_plan, "_check_room", lambda wanted, text: needs.extend(wanted) or "enough")
    prepare(config)
    fetched = [len(web.pages[path].content) for path in ("/taxdump.tar.gz", "/go.obo", "/lite.zip")]
    downloads = config.base_directory / "downloads"
    assert [size for path, size in needs if path == downloads] == fetched
    places = [config.taxonomy_dump, config.ontology, config.reference]
    times = [fetch_plan.ROOM[name] - 1 for name in ("taxonomy_dump", "ontology", "reference")]
    made = [(place, size * n) for place, size, n in zip(places, fetched, times, strict=True)]
    assert [need for need in needs if need[0] in places] == made


def test_initialize__a_lookup_of_vectors_needs_no_model(lookup_config):
    """Whoever made the vectors; here a model that is known to nobody."""
    for offline in (False, True):
        assert [line.partition(":")[0] for line in prepare(lookup_config(), offline=offline)] == ["reference"]


def test_initialize__two_at_once(given, tmp_path, web):
    from fantasia_dask.lock import only_run

    config = given()
    with only_run(tmp_path / "downloads" / "initialize.lock", print):
        refused(config, r"downloads is in use by process .*set sources\.folder to another one")
    assert web.got == []
    prepare(config)
    assert not list((tmp_path / "downloads").glob("*.lock"))


def test_initialize__made_by_another_one_meanwhile(given, web, monkeypatch):
    from fantasia_dask.pipeline import initialize as module

    config, other = given(), given()
    real = module.only_run

    def after_another(*arguments):
        monkeypatch.setattr(module, "only_run", real)
        prepare(other)
        return real(*arguments)

    monkeypatch.setattr(module, "only_run", after_another)
    prepare(config)
    assert sorted(web.got) == ["/go.obo", "/lite.zip", "/taxdump.tar.gz"]


def test_initialize__what_is_there_needs_no_source(sample_config, web):
    told = prepare(sample_config())
    assert [line.partition(":")[0] for line in told] == ["reference", "Tiny-ESM2"]
    assert web.asked == []


def test_run__before_initialize(given):
    from fantasia_dask import run

    with pytest.raises(InputError, match=r"is not there yet: `fantasia-dask initialize CONFIG` fetches it"):
        run(given(), progress=QUIET)


def test_command(given, web, tmp_path, capsys):
    from fantasia_dask.config import dump_config

    file = tmp_path / "run.yaml"
    file.write_text(dump_config(given()))
    for arguments, code in ((["--offline"], 2), ([], 0), (["--offline"], 0), (["--models"], 0)):
        with pytest.raises(SystemExit) as caught:
            cli.main(["initialize", str(file), *arguments])
        assert (caught.value.code, arguments) == (code, arguments)
    capsys.readouterr()
    web.put("/lite.zip", b"<html>", content_type="text/html")
    shutil.rmtree(tmp_path / "made" / "reference")
    shutil.rmtree(tmp_path / "downloads")
    with pytest.raises(SystemExit) as caught:
        cli.main(["initialize", str(file)])
    assert caught.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "web page" in errors[0]


def test_published__names_and_addresses():
    for what, named in PUBLISHED.items():
        for name, address in named.items():
            assert address_of(what, name) == address
            assert address_of(what, address) == address
    with pytest.raises(InputError, match=r"sources.reference is 'fantasia-lit': .* Did you mean fantasia-lite\?"):
        address_of("reference", "fantasia-lit")
    with pytest.raises(InputError, match=r"sources.ontology is"):
        address_of("ontology", "go-basic-2025")
