const table = startTable(one("[data-decision]"));
const needs = one("[data-needs]");
const restoreNeeds = needs ? startNeeds(needs, table) : () => {};  // none if nothing was measured
const restoreAll = () => {
  readFragment();
  table.restore();
  restoreNeeds();
  showSection();
};
restoreAll();
addEventListener("hashchange", () => {
  if (location.hash.includes("=")) restoreAll();
  else keepChoices();  // a link to a section
});
})();
