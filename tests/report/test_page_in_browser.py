"""The page in a real browser: Chromium, as Debian has it."""

from __future__ import annotations

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
    page.get_by_text("1–1 of 1 protein with “p00017”").wait_for()
    assert first_cells(page) == ["P00017"]
    page.get_by_label("Search").fill("out of memory")
    page.get_by_text("1–1 of 1 protein with “out of memory”").wait_for()
    assert first_cells(page) == ["P00003"]
    page.get_by_label("Search").fill("no such protein")
    page.get_by_text("0 proteins with “no such protein”").wait_for()
    assert rows_of(page).count() == 0
    assert page.get_by_role("button", name="Next").is_disabled()


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
    page.get_by_text("1–1 of 1 protein").wait_for()
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
    assert page.locator(".config pre").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
