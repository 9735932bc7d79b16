// What the reader chose is kept in the URL's fragment, after the name of a section: #comparison&sort=latency&filter=x
const fragment = new Map();
let section = "";

const readFragment = () => {
  fragment.clear();
  section = "";
  for (const part of location.hash.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at < 0) section = part;
    else {
      try { fragment.set(part.slice(0, at), decodeURIComponent(part.slice(at + 1))); } catch { /* not ours */ }
    }
  }
};

const writeFragment = () => {
  const parts = [...fragment].map(([name, chosen]) => `${name}=${encodeURIComponent(chosen)}`);
  history.replaceState(null, "", `#${[section, ...parts].filter(Boolean).join("&")}`);
};

const remember = (key, value, usual) => {
  if (value === usual) fragment.delete(key);
  else fragment.set(key, value);
  writeFragment();
};

const keepChoices = () => {
  section = location.hash.slice(1);
  if (fragment.size) writeFragment();
};

// The browser itself finds a section only if nothing follows its name.
const showSection = () => {
  if (!section || !fragment.size) return;
  const shown = document.getElementById(section);
  for (let outer = shown?.parentElement; outer; outer = outer.parentElement) if (outer.tagName === "DETAILS") outer.open = true;
  shown?.scrollIntoView();
};
