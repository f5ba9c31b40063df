"use strict";
// The table of the best terms: searched, sorted and paged in the browser. Text from outside becomes text nodes only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const table = find("best"), head = table.tHead, body = table.tBodies[0];
  const controls = { search: find("search"), aspect: find("aspect"), order: find("order"), size: find("size") };
  const GO = /^GO:\d{7}$/;
  const UNIPROT = /^([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2})$/;
  const FAR = "hardly similar";
  const far = (row) => row.alike !== null && row.alike < data.twilight;
  const percent = (share) => (100 * share).toFixed(1) + "%";
  const whole = new Intl.NumberFormat("en");

  // One row per protein: its best term of the aspect that was chosen, or of the aspect that comes first for it.
  const reasons = new Map(data.silent.protein.map((protein, i) => [protein, data.reasons[data.silent.reason[i]]]));
  const rowsOf = (aspects) => {
    const rows = data.accessions.map((accession, i) => ({
      i, accession, length: data.lengths[i], count: data.counts[i], reliability: null, identity: null, alike: null,
      name: "", go: "", donor: "", gene: "", organism: "", space: "", aspect: "", reason: reasons.get(i) || "",
    }));
    for (const row of rows) {
      const aspect = aspects.length > 1 ? data.aspect[row.i] : aspects[0];
      const term = aspect ? data.best[aspect].term[row.i] : -1;
      if (term < 0) continue;
      const pair = data.best[aspect].pair[row.i], donor = data.pairs.donor[pair];
      const share = (thousandths) => thousandths === null ? null : thousandths / 1e3;
      Object.assign(row, {
        aspect, go: data.terms.id[term], name: data.terms.name[term], space: data.spaces[data.pairs.space[pair]],
        reliability: data.pairs.reliability[pair] / 1e4, identity: share(data.pairs.identity[pair]), alike: share(data.pairs.alike[pair]),
        donor: data.donors.accession[donor], gene: data.donors.gene[donor],
        organism: data.organisms[data.donors.organism[donor]],
      });
    }
    for (const row of rows) {
      const words = [row.accession, row.go, row.name, row.donor, row.gene, row.organism, row.reason, ...(far(row) ? [FAR] : [])];
      row.text = words.join("\n").toLowerCase();
    }
    return rows;
  };

  const link = (text, pattern, address) => {
    if (!pattern.test(text)) return document.createTextNode(text);
    const a = document.createElement("a");
    Object.assign(a, { href: address + text, textContent: text, rel: "noreferrer noopener", target: "_blank" });
    return a;
  };
  const span = (className, ...parts) => {
    const element = document.createElement("span");
    element.className = className;
    element.append(...parts);
    return element;
  };
  const icon = (text) => { // what stands beside it says the same in words
    const element = span("icon", text);
    element.setAttribute("aria-hidden", "true");
    return element;
  };
  const several = data.spaces.length > 1;
  const columns = [
    { key: "accession", name: "Protein", show: (row) => [row.accession], className: "accession" },
    { key: "length", name: "Length", number: true, show: (row) => [row.length ? whole.format(row.length) : "–"] },
    { key: "name", name: "Best term", show: (row) => row.go
        ? [row.name || row.go, span("sub", span("aspect", row.aspect), link(row.go, GO, "https://www.ebi.ac.uk/QuickGO/term/"))]
        : ["no term", ...(row.reason ? [span("sub", row.reason)] : [])] },
    { key: "donor", name: "Donor", className: "donor", show: (row) => row.donor
        ? [link(row.donor, UNIPROT, "https://www.uniprot.org/uniprotkb/"), row.gene ? " " + row.gene : "", ...(row.organism ? [span("sub", row.organism)] : [])]
        : ["–"] },
    { key: "identity", name: "Identity", number: true,
      show: (row) => [row.identity === null ? "–" : percent(row.identity),
        ...(far(row) ? [span("sub far", icon("⚠\uFE0E"), " " + FAR)]
          : row.identity !== null && row.identity < data.twilight ? [span("sub", percent(row.alike) + " in a stretch")] : [])] },
    { key: "reliability", name: "Reliability", number: true,
      show: (row) => [row.reliability === null ? "–" : row.reliability.toFixed(4), ...(several && row.space ? [span("sub", row.space)] : [])] },
    { key: "count", name: "Terms", number: true, show: (row) => [whole.format(row.count)] },
  ];

  const state = { rows: [], shown: [], page: 0, key: "i", down: false };
  const alphabet = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => {
    const x = a[state.key], y = b[state.key];
    const missing = (value) => value === null || value === "";
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a.i - b.i; // what is missing comes last, either way
    const order = typeof x === "number" ? x - y : alphabet.compare(x, y);
    return (state.down ? -order : order) || a.i - b.i;
  };

  const render = () => {
    const size = Number(controls.size.value);
    const pages = Math.max(1, Math.ceil(state.shown.length / size));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const start = state.page * size;
    body.replaceChildren(...state.shown.slice(start, start + size).map((row) => {
      const line = document.createElement("tr");
      line.setAttribute("role", "row");
      columns.forEach((column, i) => {
        const cell = document.createElement(i ? "td" : "th");
        cell.setAttribute("role", i ? "cell" : "rowheader");
        if (i) cell.dataset.name = column.name; else cell.scope = "row";
        cell.className = column.className || (column.number ? "number" : "");
        cell.append(...column.show(row));
        line.append(cell);
      });
      return line;
    }));
    const n = state.shown.length, words = controls.search.value.trim();
    const range = n ? `${whole.format(start + 1)}–${whole.format(Math.min(start + size, n))} of ` : "";
    find("found").textContent = range + whole.format(n)
      + (words ? (n === 1 ? " row matches " : " rows match ") + `“${words}”` : n === 1 ? " protein" : " proteins");
    find("searched").hidden = !words;
    find("whole").textContent = data.common.filter(([go, name]) => [go, name].some((word) => word.toLowerCase() === words.toLowerCase()))
      .map(([go, name, count, below]) => ` Of all proteins, ${whole.format(count)} ${count === 1 ? "has" : "have"} ${name || go}${below}.`).join("");
    find("printed").textContent = n > size
      ? `On paper are the ${whole.format(body.rows.length)} rows that the screen showed: the tables of the run folder have all.`
      : "";
    find("page").textContent = `Page ${whole.format(state.page + 1)} of ${whole.format(pages)}`;
    find("first").disabled = find("previous").disabled = state.page === 0;
    find("last").disabled = find("next").disabled = state.page === pages - 1;
    for (const [i, cell] of [...head.rows[0].cells].entries()) {
      if (columns[i].key === state.key) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    controls.order.value = state.key + (state.down ? "-" : "");
  };
  const select = () => {
    const words = controls.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    state.shown = state.rows.filter((row) => words.every((word) => row.text.includes(word))).sort(compare);
    state.page = 0;
    render();
  };
  const sort = (key, down) => { Object.assign(state, { key, down }); select(); };
  const build = () => {
    const aspect = controls.aspect.value;
    state.rows = rowsOf(aspect ? [aspect] : ["MF", "BP", "CC"]);
    select();
  };

  const line = document.createElement("tr");
  line.setAttribute("role", "row");
  for (const column of columns) {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    if (column.number) cell.className = "number";
    button.type = "button";
    button.textContent = column.name;
    // Names begin at A, numbers at the largest: what one looks for first.
    button.addEventListener("click", () => sort(column.key, state.key === column.key ? !state.down : !!column.number));
    cell.append(button);
    line.append(cell);
  }
  head.append(line);
  const orders = [["i", "order of the input"]];
  for (const column of columns) {
    const [up, down] = column.number ? ["lowest first", "highest first"] : ["A to Z", "Z to A"];
    orders.push([column.key, `${column.name}, ${up}`], [column.key + "-", `${column.name}, ${down}`]);
  }
  controls.order.append(...orders.map(([value, text]) => new Option(text, value)));
  controls.order.addEventListener("change", () => {
    const value = controls.order.value;
    sort(value.replace(/-$/, ""), value.endsWith("-"));
  });
  let waiting = 0;
  controls.search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(select, 120); });
  controls.aspect.addEventListener("change", build);
  if (matchMedia("(max-width: 40rem)").matches) controls.size.value = "10";
  controls.size.addEventListener("change", () => { state.page = 0; render(); });
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  const turn = (to) => { state.page = to; render(); };
  find("first").addEventListener("click", () => turn(0));
  find("previous").addEventListener("click", () => turn(state.page - 1));
  find("next").addEventListener("click", () => turn(state.page + 1));
  find("last").addEventListener("click", () => turn(Infinity));
  find("controls").hidden = find("pager").hidden = false;
  build();
})();
