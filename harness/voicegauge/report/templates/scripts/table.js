// The decision table: sorting, filtering, and the choice of columns.
const compareValues = (a, b, sign) => {
  if (a === "" || b === "") return (a === "") - (b === "");  // missing numbers are last in both directions
  return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
};

const startTable = (table) => {
  const tools = one("[data-tools]");
  const headers = all("thead th", table);
  const rows = all("tbody tr", table);
  const usual = { sort: "", columns: all("[name=column]:checked", tools).map((box) => box.value).join(" ") };

  const valueOf = (row, header) => {
    const raw = row.cells[header.cellIndex].dataset.value;
    return header.dataset.sort === "text" || raw === "" ? raw : Number(raw);
  };
  const sortBy = (header, direction) => {
    for (const other of headers) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const sorted = rows.map((row) => [valueOf(row, header), row]).sort(([a], [b]) => compareValues(a, b, sign));
    table.tBodies[0].append(...sorted.map(([, row]) => row));
    tools.elements.sort.value = header.dataset.key;
  };
  const sortAgain = () => {
    const header = headers.find((other) => other.hasAttribute("aria-sort"));
    if (header) sortBy(header, header.getAttribute("aria-sort"));
  };
  const choose = (header, direction) => {
    sortBy(header, direction);
    remember("sort", `${header.dataset.key}${direction === "descending" ? ".down" : ""}`, usual.sort);
  };
  const filter = () => {
    const wanted = tools.elements.filter.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    const shown = rows.filter((row) => !row.hidden).length;
    one("[data-shown]", tools).textContent = wanted ? `${shown} of ${rows.length}` : "";
  };
  const showColumns = () => {
    for (const box of all("[name=column]", tools)) {
      for (const cell of all(`[data-key="${box.value}"]`, table)) cell.classList.toggle("more", !box.checked);
    }
  };

  // A rehearsal ranks nobody: its table has no order to choose.
  const sortable = headers.filter((header) => header.dataset.sort);
  tools.elements.sort.closest("label").hidden = sortable.length === 0;
  for (const header of sortable) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    tools.elements.sort.append(new Option(header.dataset.key === "target" ? "Target" : button.firstChild.textContent.trim(), header.dataset.key));
    button.addEventListener("click", () => {
      const now = header.getAttribute("aria-sort");
      const turned = now === "ascending" ? "descending" : "ascending";
      choose(header, now ? turned : header.dataset.first ?? "ascending");
    });
  }
  const first = headers.find((header) => header.hasAttribute("aria-sort"));
  if (first) { usual.sort = first.dataset.key; tools.elements.sort.value = usual.sort; }
  tools.elements.sort.addEventListener("change", () => {
    const header = sortable.find((other) => other.dataset.key === tools.elements.sort.value);
    choose(header, header.dataset.first ?? "ascending");
  });
  tools.elements.filter.addEventListener("input", () => {
    filter();
    remember("filter", tools.elements.filter.value.trim(), "");
  });
  for (const box of all("[name=column]", tools)) box.addEventListener("change", () => {
    showColumns();
    remember("columns", all("[name=column]:checked", tools).map((checked) => checked.value).join(" "), usual.columns);
  });
  tools.addEventListener("submit", (event) => event.preventDefault());

  const restore = () => {
    const [key, down] = (fragment.get("sort") ?? usual.sort).split(".");
    const header = sortable.find((other) => other.dataset.key === key);
    if (header) sortBy(header, down ? "descending" : "ascending");
    tools.elements.filter.value = fragment.get("filter") ?? "";
    filter();
    const columns = (fragment.get("columns") ?? usual.columns).split(" ");
    for (const box of all("[name=column]", tools)) box.checked = columns.includes(box.value);
    showColumns();
  };
  return { restore, sortAgain };
};
