// A click on a heading, or Enter, sorts its table: numbers by size, texts by letter, nothing ("-", "none") last.
function sortKey(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  return text === "" || text === "-" || text === "none" ? null : Number.isNaN(Number(text)) ? text : Number(text);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

function sortTable(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const isDescending = headings[column].getAttribute("aria-sort") === "ascending";
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return isDescending ? compare(b, a) : compare(a, b);
  });
  const shown = Number(table.dataset.shown ?? rows.length);
  for (const [place, [, row]] of rows.entries()) row.hidden = place >= shown;
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table")) {
  for (const [column, heading] of [...table.tHead.rows[0].cells].entries()) {
    heading.classList.add("sortable");
    heading.tabIndex = 0;
    heading.addEventListener("click", () => sortTable(table, column));
    heading.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sortTable(table, column);
    });
  }
}
for (const button of document.querySelectorAll("button.all")) {
  button.addEventListener("click", () => {
    const table = button.previousElementSibling;
    delete table.dataset.shown;
    for (const row of table.tBodies[0].rows) row.hidden = false;
    button.remove();
  });
}
