"""The page in a real browser: Chromium, as Debian has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fantasia_dask.report.html import write_page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWS = [(size, scheme) for size in (DESKTOP, PHONE) for scheme in ("light", "dark")]
SPACES = [("A", 0), ("A", 1), ("B", 0)]
N = 60


@pytest.fixture(scope="module")
def page_file(write_run) -> Path:
    """A run of three spaces in which one protein failed and others have names that ask for trouble."""
    names = [f"P{i:05d}" for i in range(N - 2)] + ["<img src=x onerror=document.title='broken'>", "=cmd()"]
    status, lines = [], []
    for model, layer in SPACES:
        for i, name in enumerate(names):
            failed = i == 3
            status.append(
                (name, model, layer, "failed" if failed else "embedded", 0 if failed else 50 + 37 * i)
                + (("out of memory", 0, 0) if failed else ("", 2, 6))
            )
            if not failed:
                lines += [
                    (
                        name,
                        model,
                        layer,
                        f"GO:000{j}{i % 9:03d}",
                        f"P{k}99{i % 7}0",
                        0.95 - 0.005 * i - k / 50,
                        0.9 - i / 70,
                    )
                    for k in range(2)
                    for j in range(3)
                ]
    columns = {
        "organism": [f"Species {sum(line[4].encode()) % 5}" for line in lines],
        "gene_name": [f"abc{line[4][-2:]}" for line in lines],
        # One of those that are hardly similar over their whole length shares a domain with its donors.
        "identity_sw": [0.41 if line[0] == "P00050" else line[6] for line in lines],
        "alignment_length_sw": 100.0,
    }
    folder, overview = write_run(status, lines, SPACES, columns=columns)
    return write_page(overview, folder.path)


@pytest.fixture
def visit(browser, page_file):
    """Return a function that opens the page, and at the end check that it loaded nothing and complained of nothing."""
    contexts, complaints, requests = [], [], []

    def opened(size=DESKTOP, scheme="light"):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requests) == {page_file.as_uri()}


def rows_of(page):
    return page.locator("#best tbody tr")


def first_cells(page):
    return page.locator("#best tbody tr th").all_inner_texts()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_page__a_click_on_the_search_box_finds_a_protein(visit, size):
    page = visit(size)
    assert rows_of(page).count() == (25 if size is DESKTOP else 10)
    page.get_by_label("Search").click()
    page.keyboard.type("p00017")
    page.get_by_text("1–1 of 1 row matches “p00017”").wait_for()
    assert first_cells(page) == ["P00017"]
    page.get_by_label("Search").fill("out of memory")
    page.get_by_text("1–1 of 1 row matches “out of memory”").wait_for()
    assert first_cells(page) == ["P00003"]
    page.get_by_label("Search").fill("no such protein")
    page.get_by_text("0 rows match “no such protein”").wait_for()
    assert rows_of(page).count() == 0
    assert page.get_by_role("button", name="Next").is_disabled()


def test_page__search_finds_all_words_in_any_order(visit):
    page = visit()
    for words in ("name of go:0000004 p00004", "P00004 GO:0000004", "p00004   OF name"):
        page.get_by_label("Search").fill(words)
        page.get_by_text("1–1 of 1 row matches “").wait_for()
        assert first_cells(page) == ["P00004"]
        page.get_by_label("Search").fill("")
        page.get_by_text(f"of {N} proteins").wait_for()
    page.get_by_label("Search").fill("p00004 p00005")
    page.get_by_text("0 rows match").wait_for()


def test_page__says_what_is_searched_and_how_many_have_a_term(visit):
    """A row shows one term of its protein: how many have a term is told apart, where the page counts it."""
    page = visit()
    note = page.locator("#searched")
    assert not note.is_visible()
    # Each protein but the failed one has GO:000j00i for j of 0 to 2, and i from 0 to 8.
    page.get_by_label("Search").fill("go:0000004")
    page.get_by_text("rows match “go:0000004”").wait_for()
    assert note.inner_text().startswith("The search looks at what the rows show: one term of each protein")
    assert "All terms are in consensus.tsv and annotations/." in note.inner_text()
    assert note.inner_text().endswith("Of all proteins, 7 have name of GO:0000004.")
    page.get_by_label("Search").fill("Name of GO:0002004 ")
    page.get_by_text("0 rows match “Name of GO:0002004”").wait_for()
    assert note.inner_text().endswith("Of all proteins, 7 have name of GO:0002004.")
    page.get_by_label("Search").fill("go:s")
    page.get_by_text("0 rows match “go:s”").wait_for()
    assert note.inner_text().endswith("Of all proteins, 59 have a <b>broad</b> term or a term below it.")
    page.get_by_label("Search").fill("")
    note.wait_for(state="hidden")


def test_page__marks_hardly_similar_donors_by_icon_and_word(visit):
    page = visit()
    page.get_by_role("combobox", name="Rows").select_option("100")
    identities = page.locator("#best tbody td[data-name=Identity]").all_inner_texts()
    assert len(identities) == N
    below = [text for text in identities if text != "–" and float(text.split("%")[0]) < 30]
    far, alike_in_part = [], []
    for text in below:
        (far if "⚠\ufe0e hardly similar" in text else alike_in_part).append(text)
    assert far
    assert len(alike_in_part) == 1
    assert re.fullmatch(r"\d+\.\d%\s+41\.0% in a stretch", alike_in_part[0])
    page.get_by_label("Search").fill("hardly similar")
    page.get_by_text(f"of {len(far)} rows match “hardly similar”").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page__a_phone_shows_all_links_and_fates_without_scrolling(visit, scheme):
    page = visit(PHONE, scheme)
    for inside, outer in ((".contents a", ".contents ul"), (".cards td", ".cards")):
        assert page.locator(outer).evaluate("e => e.scrollWidth <= e.clientWidth")
        boxes = page.locator(inside).evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
        assert max(boxes) <= PHONE["width"]
    first = page.locator(".cards tbody tr").first.locator("td").first
    assert first.get_attribute("data-name") == "annotated"


def test_page__sorts_and_turns_pages_by_keyboard(visit):
    page = visit()
    head = page.get_by_role("columnheader", name="Reliability")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert first_cells(page)[:3] == ["P00000", "P00001", "P00002"]
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert first_cells(page)[0] == "=cmd()"
    assert page.get_by_role("combobox", name="Sort by").input_value() == "reliability"
    page.get_by_role("button", name="Last").focus()
    page.keyboard.press("Space")
    assert page.locator("#page").inner_text() == "Page 3 of 3"
    # A protein without a term comes last, whichever way.
    assert first_cells(page)[-1] == "P00003"
    page.get_by_role("combobox", name="Rows").select_option("100")
    assert rows_of(page).count() == N
    page.get_by_role("combobox", name="Sort by").select_option("length-")
    assert page.get_by_role("columnheader", name="Length").get_attribute("aria-sort") == "descending"
    assert first_cells(page)[0] == "=cmd()"


def test_page__aspects_and_links(visit):
    page = visit()
    page.get_by_role("combobox", name="Aspect").select_option("MF")
    assert set(page.locator("#best .aspect").all_inner_texts()) == {"MF"}
    page.get_by_role("combobox", name="Aspect").select_option("")
    links = page.locator("#best tbody a").evaluate_all("links => links.map(a => a.origin)")
    assert set(links) == {"https://www.ebi.ac.uk", "https://www.uniprot.org"}


def test_page__names_from_outside_are_text(visit):
    page = visit()
    page.get_by_label("Search").fill("onerror")
    page.get_by_text("1–1 of 1 row matches").wait_for()
    assert first_cells(page) == ["<img src=x onerror=document.title='broken'>"]
    assert page.locator("img").count() == 0
    assert page.title() == "ants · fantasia-dask report"


@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_page__accessible_and_no_wider_than_the_screen(visit, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = visit(size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found] == []
    ink = page.evaluate("getComputedStyle(document.querySelector('.drawing text')).fill")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = [sum(map(int, colour[4:-1].split(","))) for colour in (ink, paper)]
    assert (light[0] < light[1]) == (scheme == "light")


def test_page__the_first_stop_of_the_tab_key_skips_to_the_content(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_page__printed_on_white_without_controls(visit):
    page = visit(scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_label("Search").is_visible()
    assert page.locator(".printed pre").is_visible()
    assert page.locator(".versions").is_visible()
    assert page.locator("#found").inner_text() == f"1–25 of {N} proteins"
    assert page.locator("#printed").inner_text().startswith("On paper are the 25 rows that the screen showed")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_page__printed_tables_are_whole_or_have_their_header_again(visit, tmp_path):
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("needs pdftotext, of poppler")
    page = visit()
    page.get_by_role("combobox", name="Rows").select_option("100")
    (tmp_path / "page.pdf").write_bytes(page.pdf(format="A4"))
    done = subprocess.run(
        [pdftotext, "-layout", tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True
    )
    pages = done.stdout.split("\f")
    of_table = [text for text in pages if re.search(r"P000\d\d\s", text)]
    assert len(of_table) > 1
    for text in of_table:
        assert re.search(r"Protein\s+Length\s+Best term", text)
    # Three tables side by side, none of which goes on over the page.
    (commonest,) = [text for text in pages if "The commonest terms" in text]
    terms = page.locator(".common small").all_inner_texts()
    assert len(terms) == 27
    assert set(terms) <= set(re.findall(r"GO:\d{7}", commonest))
