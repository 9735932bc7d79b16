// The theme makes each copy button a navigation landmark, which needs a name of its own.
new MutationObserver(() => {
  document.querySelectorAll("nav.md-code__nav").forEach((buttons, index) => {
    const name = `Example ${index + 1}`;
    if (buttons.getAttribute("aria-label") !== name) buttons.setAttribute("aria-label", name);
  });
}).observe(document.documentElement, { childList: true, subtree: true });
