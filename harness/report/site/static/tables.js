// Sorting by the buttons in a table's head, and filtering its rows by words of their method.
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    if ("value" in cell.dataset) return cell.dataset.value === "None" ? null : Number(cell.dataset.value);
    const text = cell.textContent.trim();
    return text === "–" ? null : text;
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });

  // What is missing stands last in both directions; equals keep their order.
  const sort = (table, column, descending) => {
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row, column), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...keyed.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    for (const button of table.tHead.querySelectorAll("button")) {
      const head = button.closest("th");
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === "none" ? button.dataset.first : now === "ascending" ? "descending" : "ascending";
        for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", next);
        sort(table, heads.indexOf(head), next === "descending");
      });
    }
  }

  for (const section of document.querySelectorAll("[data-table]")) {
    const input = section.querySelector("input");
    if (!input) continue;
    const rows = [...section.querySelectorAll("tbody tr")];
    const names = rows.map((row) => row.querySelector("th").textContent.toLowerCase());
    const output = section.querySelector("output");
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => names[index].includes(word));
        shown += !row.hidden;
      });
      output.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    if (input.value) filter();
  }
})();
