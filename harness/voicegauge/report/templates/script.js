// Sorts tables and recomputes prices for another text length. Without JavaScript the page is complete but static.
(() => {
  "use strict";
  document.documentElement.classList.add("js");

  // The sort key of a cell: text, a number, or null, which is sorted last in both directions.
  const valueOf = (row, column, kind) => {
    const raw = row.cells[column].dataset.value ?? "";
    if (kind === "text") return raw;
    return raw === "" ? null : Number(raw);
  };

  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  };

  const sortBy = (table, header, column) => {
    const kind = header.dataset.sort;
    const now = header.getAttribute("aria-sort");
    const first = header.dataset.first ?? "ascending";
    const turned = now === "ascending" ? "descending" : "ascending";
    const direction = now ? turned : first;
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, column, kind), row]);
    rows.sort(([a], [b]) => compare(a, b, sign));
    body.append(...rows.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const header of table.tHead.rows[table.tHead.rows.length - 1].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sortBy(table, header, header.cellIndex));
    }
  }

  const usd = (value) => {
    const small = value > 0 && value < 0.001;
    const decimals = small ? 1 - Math.floor(Math.log10(value)) : value >= 1 ? 2 : 4;
    return "$" + value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  };

  const form = document.querySelector("[data-length]");
  const price = () => {
    const input = form.elements.characters;
    const length = input.valueAsNumber;
    const usable = input.checkValidity();
    form.querySelector("output").textContent = usable ? "" : "a whole number from 1 to 1,000,000";
    if (!usable) return;
    document.querySelector("[data-chosen]").textContent = length.toLocaleString("en-US");
    for (const row of document.querySelectorAll("tr[data-fixed]")) {
      const limit = Number(row.dataset.maxCharacters);
      const requests = limit ? Math.max(1, Math.ceil(length / limit)) : 1;
      const text = Number(row.dataset.fixed) * requests + Number(row.dataset.character) * length;
      row.querySelector("[data-text]").textContent = usd(text);
      row.querySelector("[data-million]").textContent = usd((text / length) * 1e6);
    }
  };
  form.addEventListener("input", price);
  form.addEventListener("submit", (event) => event.preventDefault());
})();
