// Filters findings; the filter is kept in the URL.
const form = one("[data-filter]");
const applyFilter = () => {
  const wanted = form.elements.filter.value.trim().toLowerCase();
  const findings = all("[data-finding]");
  for (const finding of findings) finding.hidden = !finding.textContent.toLowerCase().includes(wanted);
  const shown = findings.filter((finding) => !finding.hidden).length;
  one("output", form).textContent = wanted ? `${shown} of ${findings.length}` : "";
};
if (form) {
  readFragment();
  form.elements.filter.value = fragment.get("filter") ?? "";
  applyFilter();
  form.elements.filter.addEventListener("input", () => {
    applyFilter();
    remember("filter", form.elements.filter.value.trim(), "");
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", keepChoices);
  showSection();
}
})();
