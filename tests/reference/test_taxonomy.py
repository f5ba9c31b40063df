"""Taxa in and out: exactly, with descendants, by name, through merged numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.reference import lineages_from_dump, resolve_taxa
from fantasia_dask.reference.dump_check import verify_dump
from fantasia_dask.reference.lineages import Taxonomy, taxonomy_table
from fantasia_dask.reference.taxonomy import donor_rows, protein_mask

#           row taxon organism
PROTEINS = [
    (0, 559292, "Saccharomyces cerevisiae (strain S288c)"),
    (0, 10090, "Mus musculus"),
    (1, 83333, "Escherichia coli (strain K12)"),
    (2, 515849, "Podospora anserina"),
    (3, 0, ""),
]


@pytest.fixture
def proteins() -> pd.DataFrame:
    table = pd.DataFrame(PROTEINS, columns=["row", "taxon", "organism"])
    return table.assign(protein=range(len(table)))


@pytest.fixture
def dump(tmp_path):
    """Root 1; 2 Bacteria > 562 E. coli > 83333; 4751 Fungi > 4932 yeast; 395 merged into 562; a name borne twice."""
    nodes = [(1, 1), (2, 1), (562, 2), (83333, 562), (4751, 1), (4932, 4751)]
    names = [
        (1, "root"), (2, "Bacteria"), (562, "Escherichia coli"), (83333, "Escherichia coli K-12"),
        (4751, "Fungi"), (4932, "yeast"), (83333, "twice"), (4932, "Twice"),
    ]  # fmt: skip
    rest = "\t|\t".join(["", "0", "1", "11", "1", "0", "1", "1", "0", ""])
    (tmp_path / "nodes.dmp").write_text("".join(f"{t}\t|\t{p}\t|\tno rank\t|\t{rest}\t|\n" for t, p in nodes))
    kinds = ["scientific name" if i < 6 else "synonym" for i in range(len(names))]
    (tmp_path / "names.dmp").write_text(
        "".join(f"{t}\t|\t{n}\t|\t\t|\t{k}\t|\n" for (t, n), k in zip(names, kinds, strict=True))
    )
    (tmp_path / "merged.dmp").write_text("395\t|\t562\t|\n")
    return tmp_path


def test_protein_mask__exact(proteins):
    assert protein_mask(proteins).all()
    assert protein_mask(proteins, exclude=[559292, 10090]).tolist() == [False, False, True, True, False]
    assert protein_mask(proteins, exclude=["559292"]).tolist() == [False, True, True, True, False]
    assert protein_mask(proteins, include=[559292]).tolist() == [True, False, False, False, False]


def test_protein_mask__an_unknown_taxon_passes_no_list(proteins):
    """As in FANTASIA, where a comparison with no value is never true (golden case tax_exclude)."""
    assert not protein_mask(proteins, exclude=[10090])[4]
    assert not protein_mask(proteins, include=[10090])[4]
    assert protein_mask(proteins)[4]


def test_protein_mask__include_overrides_exclude(proteins):
    mask = protein_mask(proteins, exclude=[559292, 83333], include=[559292])
    assert mask.tolist() == [True, False, False, False, False]


def test_protein_mask__a_clade_only_with_descendants(proteins):
    lineages = {559292: (559292, 4932, 4751), 515849: (515849, 4751), 10090: (10090, 1), 83333: (83333, 2)}
    of_known_taxon = [True, True, True, True, False]
    with pytest.warns(FantasiaWarning, match="taxon 4751 is of no protein"):
        assert protein_mask(proteins, exclude=[4751]).tolist() == of_known_taxon
    assert protein_mask(proteins, exclude=[4751], lineages=lineages).tolist() == [False, True, True, False, False]
    assert protein_mask(proteins, exclude=[4751], lineages=lineages, descendants=False).tolist() == of_known_taxon
    with pytest.raises(InputError, match="taxonomy_dump"):
        protein_mask(proteins, exclude=[4751], descendants=True)


def test_protein_mask__names(proteins):
    assert protein_mask(proteins, include=["mus MUSCULUS"]).tolist() == [False, True, False, False, False]
    with pytest.raises(InputError, match=r"'Mus muscullus'.*Did you mean mus musculus"):
        protein_mask(proteins, exclude=["Mus muscullus"])
    with pytest.raises(InputError, match="is named ''"):
        protein_mask(proteins, exclude=[" "])


def test_protein_mask__no_dump_is_read_without_taxa(proteins, tmp_path):
    assert protein_mask(proteins, descendants=True, dump=tmp_path / "none").all()


def test_donor_rows__annotated_and_all(proteins):
    annotations = pd.DataFrame({"protein": [0, 0, 2]})
    everyone = np.ones(5, bool)
    assert donor_rows(proteins, annotations, everyone).tolist() == [True, True, False, False]
    assert donor_rows(proteins, annotations, everyone, donors="all").tolist() == [True] * 4
    # Row 0 is shared: without its annotated protein the other one, unannotated, answers only with donors: all.
    no_yeast = protein_mask(proteins, exclude=[559292])
    assert donor_rows(proteins, annotations, no_yeast).tolist() == [False, True, False, False]
    assert donor_rows(proteins, annotations, no_yeast, donors="all").tolist() == [True, True, True, False]
    with pytest.raises(InputError, match="annotated or all"):
        donor_rows(proteins, annotations, everyone, donors="any")


def test_dump__merged_numbers_and_names(dump, proteins):
    assert resolve_taxa([395, "562", "fungi", "TWICE"], dump) == [562, 4751, 4932, 83333]
    assert lineages_from_dump(dump, [395, 83333, 77]) == {
        77: (77,),
        395: (395, 562, 2, 1),
        83333: (83333, 562, 2, 1),
    }
    old = pd.DataFrame({"taxon": [395, 562, 4932], "organism": ["", "", ""]})
    for taxon in (395, 562):
        assert protein_mask(old, exclude=[taxon], dump=dump, descendants=True).tolist() == [False, False, True]
    with pytest.warns(FantasiaWarning, match=r"3 proteins .* \(10090, 515849, 559292\)"):
        mask = protein_mask(proteins, include=["Bacteria"], dump=dump, descendants=True)
    assert mask.tolist() == [False, False, True, False, False]
    assert not protein_mask(proteins, include=["Bacteria"], dump=dump, descendants=False).any()


def test_dump__unknown_taxa_are_named(dump):
    with pytest.raises(InputError, match="knows no taxon 77"):
        resolve_taxa([77], dump)
    with pytest.raises(InputError, match=r"'Fungy'.*Did you mean fungi"):
        resolve_taxa(["Fungy"], dump)


def test_dump__the_users_files_stay(dump):
    before = {p.name: p.read_bytes() for p in dump.iterdir()}
    lineages_from_dump(dump, [562])
    assert {p.name: p.read_bytes() for p in dump.iterdir()} == before


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("nodes.dmp", "562\t|\t2\t|\tspecies\t|\n", "no taxon 2, an ancestor of 562"),
        ("nodes.dmp", "562\t|\t2\t|\tx\t|\n2\t|\t562\t|\tx\t|\n", "in a circle at 562"),
        ("nodes.dmp", "<html>\n", "no whole NCBI taxonomy dump"),
        ("names.dmp", "1\n", "no whole NCBI taxonomy dump"),
        ("merged.dmp", "395\t|\t999\t|\n", "no whole NCBI taxonomy dump: taxon 395 of merged.dmp became 999"),
        ("nodes.dmp", None, "nodes.dmp is missing"),
    ],
)
def test_dump__broken(dump, file, text, match):
    if text is None:
        (dump / file).unlink()
    else:
        (dump / file).write_text(text)
        if file != "merged.dmp":
            (dump / "merged.dmp").unlink()
    with pytest.raises(InputError, match=match):
        lineages_from_dump(dump, [562])


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        ("nodes.dmp", lambda text: text[: len(text) // 2], "line 4 of nodes.dmp is cut"),
        ("nodes.dmp", lambda text: "".join(text.splitlines(True)[:1] + text.splitlines(True)[2:]), "taxon 562 has no "),
        ("nodes.dmp", lambda text: "".join(text.splitlines(True)[:-1]), "taxon 4932 of names.dmp is not in nodes.dmp"),
        ("nodes.dmp", lambda text: text.replace("562", "five", 1), "line 3 of nodes.dmp has no number"),
        ("nodes.dmp", lambda text: "", "nodes.dmp is empty"),
        ("names.dmp", lambda text: text[:-3], "line 8 of names.dmp is cut"),
        ("merged.dmp", lambda text: text.replace("562", "563"), "taxon 395 of merged.dmp became 563"),
    ],
)
def test_verify_dump__a_part_is_missing(dump, file, change, match):
    verify_dump(dump)
    (dump / file).write_text(change((dump / file).read_text()))
    with pytest.raises(InputError, match=f"no whole NCBI taxonomy dump: {match}"):
        verify_dump(dump)


@pytest.mark.shared
def test_verify_dump__real_one(shared, tmp_path):
    verify_dump(shared / "data/taxonomy")
    for name in ("nodes.dmp", "names.dmp"):
        (tmp_path / name).write_bytes((shared / "data/taxonomy" / name).read_bytes())
    lines = (tmp_path / "nodes.dmp").read_bytes().splitlines(keepends=True)
    (tmp_path / "nodes.dmp").write_bytes(b"".join(lines[: len(lines) // 2]))
    with pytest.raises(InputError, match=r"taxon \d+ has no parent in nodes\.dmp \(\d+ is missing\)"):
        verify_dump(tmp_path)


def test_dump__without_descendants_a_merged_number_is_its_new_one(dump):
    old = pd.DataFrame({"taxon": [395, 562, 83333, 4932], "organism": [""] * 4})
    for taxon in (395, 562):
        mask = protein_mask(old, exclude=[taxon], dump=dump, descendants=False)
        assert mask.tolist() == [False, False, True, True]


def test_dump__an_unknown_number_is_compared_with_the_references(dump, proteins):
    with pytest.raises(InputError, match=r"knows no taxon 559922.*Did you mean 559292"):
        protein_mask(proteins, exclude=[559922], dump=dump)


@pytest.mark.parametrize("how", ["dump", "taxonomy", "neither"])
@pytest.mark.parametrize("which", ["exclude", "include"])
def test_protein_mask__a_number_beyond_those_of_ncbi(dump, proteins, carried, how, which):
    known = {"dump": {"dump": dump}, "taxonomy": {"taxonomy": carried}, "neither": {}}[how]
    with pytest.raises(InputError, match="99999999 is no taxon: NCBI's numbers are below 10,000,000"):
        protein_mask(proteins, **{which: [99999999]}, **known)


def test_protein_mask__a_number_that_nothing_has_and_no_lineages(proteins):
    with pytest.warns(FantasiaWarning, match=r"taxon 10900 .*Did you mean 10090 \(Mus musculus\)\?"):
        assert protein_mask(proteins, exclude=[10900])[1]


@pytest.fixture
def carried(dump) -> Taxonomy:
    return Taxonomy.from_table(taxonomy_table(dump, [0, 83333, 395, 4932, 77]))


@pytest.mark.filterwarnings("ignore:1 proteins of the reference are left out")
def test_taxonomy__filters_as_its_dump_does(dump, carried):
    table = pd.DataFrame({"taxon": [395, 562, 83333, 4932, 0, 77], "organism": ["", "", "K-12", "", "", "odd"]})
    for words in ([1], [2], [395], ["562"], [4751], ["Fungi"], ["escherichia COLI"], [4932, 2], [83333]):
        for how in ({"exclude": words}, {"include": words}, {"include": words, "exclude": [4751]}):
            for descendants in (True, False):
                expected = protein_mask(table, dump=dump, descendants=descendants, **how)
                mask = protein_mask(table, taxonomy=carried, descendants=descendants, **how)
                assert mask.tolist() == expected.tolist()
    fungi = protein_mask(table, exclude=["fungi"], taxonomy=carried)
    assert fungi.tolist() == [True, True, True, False, False, False], "of 77 nobody knows whether it is a fungus"
    assert protein_mask(table, include=["K-12"], taxonomy=carried).nonzero()[0].tolist() == [2]


def test_protein_mask__a_taxon_without_a_lineage_may_be_of_any_clade(carried):
    table = pd.DataFrame({"taxon": [4932, 562, 77, 78, 78], "organism": ""})
    told = r"^3 proteins of the reference are left out, as the lineage of their taxon is not known \(77, 78\): set tax"
    for how in ({"exclude": [4751]}, {"exclude": ["Fungi"]}, {"exclude": [4751], "descendants": True}):
        with pytest.warns(FantasiaWarning, match=told):
            assert protein_mask(table, taxonomy=carried, **how).tolist() == [False, True, False, False, False]
    with pytest.warns(FantasiaWarning, match=told):
        assert protein_mask(table, taxonomy=carried, include=[4751]).tolist() == [True, False, False, False, False]
    with pytest.warns(FantasiaWarning, match=r"^1 proteins of .* not known \(77\)"):  # the other is let in by itself
        assert protein_mask(table, taxonomy=carried, include=[78]).tolist() == [False, False, False, True, True]
    assert protein_mask(table, taxonomy=carried, exclude=[4932], descendants=False).tolist() == [False] + [True] * 4


def test_protein_mask__a_dump_that_is_older_than_the_reference(dump):
    """What either knows of a taxon is known."""
    table = pd.DataFrame({"taxon": [4932, 562, 3_000_001, 3_000_002], "organism": ""})
    newer = Taxonomy({1: 0, 33208: 1, 3_000_001: 33208, 4751: 1, 3_000_002: 4751}, {}, {})
    both = {"dump": dump, "taxonomy": newer, "descendants": True}
    assert protein_mask(table, exclude=[4751], **both).tolist() == [False, True, True, False]
    assert protein_mask(table, include=[4751], **both).tolist() == [True, False, False, True]


def test_taxonomy__what_it_does_not_know(carried):
    table = pd.DataFrame({"taxon": [4932, 562], "organism": ["yeast", "E. coli"]})
    with pytest.warns(FantasiaWarning, match=r"taxon 4923 is of no protein.*Did you mean 4932 \(yeast\)\?"):
        assert protein_mask(table, exclude=[4923], taxonomy=carried, descendants=True).all()
    # A clade without a protein in the reference; whether there is one, only a dump could tell.
    with pytest.warns(FantasiaWarning, match=r"taxon 33208 is of no protein in the reference.*chooses none\.$"):
        assert protein_mask(table, exclude=[33208], taxonomy=carried, descendants=True).all()
    with pytest.raises(InputError, match=r"'Fungy'.*Did you mean fungi"):
        protein_mask(table, exclude=["Fungy"], taxonomy=carried)


@pytest.mark.shared
def test_taxonomy__real_one_leaves_no_fungus(shared):
    """Judged by walking nodes.dmp by hand; the lineages that a reference carries and the dump do alike."""
    folder = shared / "data/taxonomy"
    parent, merged = (
        {int(line.split("\t")[0]): int(line.split("\t")[2]) for line in (folder / file).read_text().splitlines()}
        for file in ("nodes.dmp", "merged.dmp")
    )
    old, new = next((o, n) for o, n in sorted(merged.items()) if n in parent)

    def is_below(taxon, top):
        taxon = merged.get(taxon, taxon)
        while taxon != top and parent.get(taxon, taxon) != taxon:
            taxon = parent[taxon]
        return taxon == top

    taxa = [559292, 10090, 83333, 515849, 7460, 4932, old, new, *sorted(parent)[::40]]
    table = pd.DataFrame({"taxon": taxa, "organism": ""})
    for source in ({"taxonomy": Taxonomy.from_table(taxonomy_table(folder, taxa))}, {"dump": folder}):
        mask = protein_mask(table, exclude=[4751], descendants=True, **source)
        assert mask.tolist() == [not is_below(taxon, 4751) for taxon in taxa]
        assert not set(table["taxon"][mask]) & {559292, 515849, 4932}
        with_old, with_new = (protein_mask(table, exclude=[taxon], descendants=True, **source) for taxon in (old, new))
        assert with_old.tolist() == with_new.tolist() == [not is_below(taxon, new) for taxon in taxa]
        exact = protein_mask(table, exclude=[4932], descendants=False, **source)
        assert table["taxon"][~exact].unique().tolist() == [4932]


@pytest.mark.shared
def test_dump__real_one_excludes_every_fungus(shared):
    proteins = pd.DataFrame(PROTEINS, columns=["row", "taxon", "organism"])
    mask = protein_mask(proteins, exclude=["Fungi"], dump=shared / "data/taxonomy", descendants=True)
    assert mask.tolist() == [False, True, True, False, False]
