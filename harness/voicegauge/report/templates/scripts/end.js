const table = startTable(one("[data-decision]"));
const restoreNeeds = startNeeds(one("[data-needs]"), table);
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
