// Ranks the targets by the reader's weights, in groups that can be distinguished, as `rank_targets` does.
const MEASURES = ["speed", "intelligibility", "price"];

const readTarget = (row, characters, volume) => ({
  row,
  speed: row.dataset.speed === "" ? null : Number(row.dataset.speed),
  intelligibility: row.dataset.intelligibility === "" ? null : Number(row.dataset.intelligibility),
  // The price of a target that takes audio does not depend on the length of a text.
  range: priceOf(row, characters, volume)?.million,
  usd: priceOf(row, characters, volume)?.million.usd ?? (row.dataset.usd === undefined ? null : Number(row.dataset.usd)),
  place: Number(row.dataset.place) - 1,
  speedLeads: row.dataset.speedLeads.split(" ").map(Number),
  intelligibilityLeads: row.dataset.intelligibilityLeads.split(" ").map(Number),
});

const addPricePoints = (targets) => {
  const lowest = Math.min(...targets.map(({ usd }) => usd || Infinity));
  const pointsOf = (usd) => (usd ? 100 * Math.min(lowest / usd, 1) : 100);
  for (const target of targets) {
    target.price = target.usd === null ? null : target.usd ? (100 * lowest) / target.usd : 100;
    target.fewest = target.usd === null ? 0 : pointsOf(target.range?.high ?? target.usd);
    target.most = target.usd === null ? 0 : pointsOf(target.range?.low ?? target.usd);
  }
};

const weigh = (target, weights) => {
  const used = MEASURES.filter((measure) => weights[measure]);
  if (!used.length || used.some((measure) => target[measure] === null)) return null;
  const sum = used.reduce((total, measure) => total + weights[measure], 0);
  return used.reduce((total, measure) => total + weights[measure] * target[measure], 0) / sum;
};

// How far a target is ahead of another one at least; a measure that does not count must not matter where it is unknown.
const leadOf = (first, other, weights) =>
  (weights.speed ? weights.speed * first.speedLeads[other.place] : 0)
  + (weights.intelligibility ? weights.intelligibility * first.intelligibilityLeads[other.place] : 0)
  + weights.price * (first.fewest - other.most);

// Sorts the targets, and sets the points and the group of each one.
const group = (targets, weights) => {
  for (const target of targets) { target.points = weigh(target, weights); target.group = null; }
  targets.sort((a, b) => (a.points === null) - (b.points === null) || (b.points ?? 0) - (a.points ?? 0) || (a.row.dataset.name < b.row.dataset.name ? -1 : 1));
  let remaining = targets.filter(({ points }) => points !== null);
  for (let number = 1; remaining.length; number += 1) {
    const [first] = remaining;
    for (const target of remaining) if (target === first || leadOf(first, target, weights) <= 1e-9) target.group = number;
    remaining = remaining.filter((target) => target.group === null);
  }
};

const chooseFirst = (targets, weights) => {
  group(targets, weights);
  return targets.filter((target) => target.group === 1).map(({ row }) => row.dataset.name);
};

// As `format_choice_of_targets` does.
const MAX_TARGETS_NAMED_AS_CHOICE = 5;
const joinChoice = (names) => {
  if (names.length === 1) return names[0];
  if (names.length > MAX_TARGETS_NAMED_AS_CHOICE) return `${names.length.toLocaleString("en-US")} targets cannot be distinguished`;
  if (names.length > 3) return `${names.slice(0, 3).join(", ")} or ${names.length - 3} other${names.length > 4 ? "s" : ""}`;
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
};

const decide = (targets, weights, quality) => {
  const used = MEASURES.filter((measure) => weights[measure]);
  const chosen = chooseFirst(targets, weights);
  if (!used.length || targets.filter(({ points }) => points !== null).length < 2) return "";
  const parts = [`With your weights: ${joinChoice(chosen)}`];
  if (used.length > 1) for (const measure of used) {
    const only = chooseFirst(targets, Object.fromEntries(MEASURES.map((other) => [other, Number(other === measure)])));
    if (only.length && !only.includes(chosen[0])) parts.push(`${joinChoice(only)} if only ${measure === "intelligibility" ? quality : measure} counts`);
  }
  return parts.join("; ");
};

const rank = (ranking, weights, characters, volume, isUsual) => {
  const list = one("ol", ranking);
  const targets = all("li[data-name]", ranking).map((row) => readTarget(row, characters, volume));
  if (!targets.length) return;
  addPricePoints(targets);
  const hasEnoughTexts = list.dataset.enoughTexts === "1";
  const line = one("[data-decision-line]", ranking.closest("[data-run]"));
  line.dataset.usual ??= line.innerHTML;
  const decision = hasEnoughTexts && !isUsual ? decide(targets, weights, list.dataset.quality) : "";
  if (decision) line.textContent = `${[decision, line.dataset.charges].filter(Boolean).join("; ")}.`;
  else line.innerHTML = line.dataset.usual;
  group(targets, weights);
  for (const target of targets) {
    const { row, points } = target;
    one("[data-points]", row).textContent = points === null ? "–" : points.toFixed(0);
    one("meter", row).value = points ?? 0;
    const known = hasEnoughTexts ? `group ${target.group}` : "too few texts";
    one("[data-group]", row).textContent = points === null ? "not ranked: a number is missing" : known;
  }
  list.append(...targets.map(({ row }) => row));
  updatePoints(ranking.closest("[data-run]"), targets);
};

// The number in a circle of the plot is its rank, and the size its price. `data-place` is the rank by the default weights.
const updatePoints = (plot, targets) => {
  const highest = Math.max(0, ...targets.map(({ usd }) => usd ?? 0));
  targets.forEach(({ row, usd }, index) => {
    const place = row.dataset.place;
    for (const number of all(`[data-number="${place}"]`, plot)) number.textContent = index + 1;
    for (const circle of all(`[data-point="${place}"]`, plot)) {
      const largest = Number(circle.closest("svg").dataset.maxRadius);
      circle.setAttribute("r", usd && highest ? 9 + (largest - 9) * Math.sqrt(usd / highest) : 9);
    }
  });
  for (const names of all("[data-names]", plot)) {
    const rankOf = (name) => Number(one("[data-number]", name).textContent);
    names.append(...[...names.children].sort((a, b) => rankOf(a) - rankOf(b)));
  }
};

const WORDS = ["ignored", "a little", "normal", "much", "most"];

const startNeeds = (form, table) => {
  const read = (name) => form.elements[name].valueAsNumber;
  const usual = Object.fromEntries([...MEASURES, "characters", "volume"].map((name) => [name, form.elements[name].value]));
  usualAmounts.characters = Number(usual.characters);
  usualAmounts.volume = Number(usual.volume);
  const notes = all("[data-ranking-note]").map((note) => [note, note.textContent]);
  const update = () => {
    const usable = form.checkValidity();
    one("[data-problem]", form).textContent = usable ? "" : "Both must be whole numbers from 1.";
    if (!usable) return false;
    const weights = Object.fromEntries(MEASURES.map((measure) => [measure, read(measure)]));
    for (const measure of MEASURES) {
      const input = form.elements[measure];
      input.nextElementSibling.textContent = WORDS[weights[measure]];
      input.setAttribute("aria-valuetext", WORDS[weights[measure]]);
    }
    updatePrices(read("characters"), read("volume"));
    const changed = MEASURES.some((measure) => form.elements[measure].value !== usual[measure]);
    const isUsual = Object.entries(usual).every(([name, value]) => form.elements[name].value === value);
    for (const ranking of all("[data-ranking]")) rank(ranking, weights, read("characters"), read("volume"), isUsual);
    for (const [note, text] of notes) note.textContent = changed ? "By your weights." : text;
    table.sortAgain();
    return true;
  };
  form.addEventListener("input", (event) => {
    if (update()) remember(event.target.name, event.target.value, usual[event.target.name]);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  return () => {
    for (const [name, value] of Object.entries(usual)) form.elements[name].value = fragment.get(name) ?? value;
    update();
  };
};
