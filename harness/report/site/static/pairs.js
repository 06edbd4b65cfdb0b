// The matrix of pairs: what a cell means is told where the pointer or the keyboard is.
(() => {
  const table = document.querySelector("table.matrix");
  if (!table) return;
  const { labels, cells } = JSON.parse(document.getElementById("pairs").textContent);
  const tip = document.getElementById("tip");
  const rows = [...table.tBodies[0].rows];
  const cellAt = (row, column) => rows[row]?.cells[column + 1];
  let described = null;

  const hide = () => {
    tip.hidden = true;
    described?.removeAttribute("aria-describedby");
    described = null;
  };
  const show = (cell) => {
    const row = cell.parentNode.sectionRowIndex, column = cell.cellIndex - 1;
    hide();
    if (row < 0 || column < 0 || row === column) return;
    const heading = document.createElement("strong");
    heading.textContent = `${labels[row]} − ${labels[column]}`;
    const lines = (cells[row][column] ?? ["not compared"]).map((line) => {
      const span = document.createElement("span");
      span.textContent = line;
      return span;
    });
    tip.replaceChildren(heading, ...lines);
    tip.hidden = false;
    const box = cell.getBoundingClientRect();
    const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const below = box.bottom + 6 + tip.offsetHeight <= innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - tip.offsetHeight - 6)}px`;
    cell.setAttribute("aria-describedby", "tip");
    described = cell;
  };

  let current = cellAt(0, 0);
  current.tabIndex = 0;
  const focus = (cell) => {
    current.tabIndex = -1;
    current = cell;
    current.tabIndex = 0;
    current.focus();
  };
  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  table.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const row = current.parentNode.sectionRowIndex, column = current.cellIndex - 1, move = MOVES[event.key];
    const next = move ? cellAt(row + move[0], column + move[1])
      : event.key === "Home" ? cellAt(row, 0)
        : event.key === "End" ? cellAt(row, labels.length - 1) : null;
    if (move || next) event.preventDefault();
    if (next && next.cellIndex > 0) focus(next);
  });
  const cellOf = (event) => event.target.closest("tbody td");
  table.addEventListener("click", (event) => { if (cellOf(event)) focus(cellOf(event)); });
  table.addEventListener("focusin", (event) => { if (cellOf(event)) show(cellOf(event)); });
  table.addEventListener("focusout", hide);
  table.addEventListener("mouseover", (event) => { if (cellOf(event)) show(cellOf(event)); });
  table.addEventListener("mouseleave", hide);
  addEventListener("scroll", hide, { passive: true });
})();
