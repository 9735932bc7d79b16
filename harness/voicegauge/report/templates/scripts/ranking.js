// Ranks the targets by the reader's weights, in the run and in each resample, as `rank_targets` does.
const MEASURES = ["speed", "intelligibility", "price"];

const readTarget = (row, characters, volume) => ({
  row,
  speed: row.dataset.speed === "" ? null : Number(row.dataset.speed),
  intelligibility: row.dataset.intelligibility === "" ? null : Number(row.dataset.intelligibility),
  // The price of a target that takes audio does not depend on the length of a text.
  usd: priceOf(row, characters, volume)?.million.usd ?? (row.dataset.usd === undefined ? null : Number(row.dataset.usd)),
  speedResamples: row.dataset.speedResamples.split(" ").filter(Boolean).map(Number),
  intelligibilityResamples: row.dataset.intelligibilityResamples.split(" ").filter(Boolean).map(Number),
});

const addPricePoints = (targets) => {
  const lowest = Math.min(...targets.map(({ usd }) => usd ?? Infinity));
  for (const target of targets) target.price = target.usd === null ? null : target.usd ? (100 * lowest) / target.usd : 100;
};

const weigh = (target, weights) => {
  const used = MEASURES.filter((measure) => weights[measure]);
  if (!used.length || used.some((measure) => target[measure] === null)) return null;
  const sum = used.reduce((total, measure) => total + weights[measure], 0);
  return used.reduce((total, measure) => total + weights[measure] * target[measure], 0) / sum;
};

const shareFirst = (targets, weights) => {
  const ranked = targets.filter(({ points }) => points !== null);
  const count = ranked[0]?.speedResamples.length ?? 0;
  for (const target of ranked) target.first = count ? 0 : null;
  for (let i = 0; i < count; i += 1) {
    const totals = ranked.map((target) =>
      weights.speed * target.speedResamples[i] + weights.intelligibility * target.intelligibilityResamples[i]
      + weights.price * Math.floor((target.price ?? 0) + 0.5));
    const highest = Math.max(...totals);
    const winners = ranked.filter((_, j) => totals[j] >= highest - 1e-9);
    for (const winner of winners) winner.first += 1 / winners.length / count;
  }
};

const rank = (ranking, weights, characters, volume) => {
  const targets = all("li[data-name]", ranking).map((row) => readTarget(row, characters, volume));
  if (!targets.length) return;
  addPricePoints(targets);
  for (const target of targets) target.points = weigh(target, weights);
  shareFirst(targets, weights);
  targets.sort((a, b) => (a.points === null) - (b.points === null) || (b.points ?? 0) - (a.points ?? 0));
  for (const { row, points, first } of targets) {
    one("[data-points]", row).textContent = points === null ? "–" : points.toFixed(0);
    one("meter", row).value = points ?? 0;
    const share = first === null ? "too few texts" : `first in ${Math.floor(first * 100 + 0.5 + 1e-9)}%`;
    one("[data-share]", row).textContent = points === null ? "not ranked: a number is missing" : share;
  }
  one("ol", ranking).append(...targets.map(({ row }) => row));
  updatePoints(ranking.closest("[data-run]"), targets);
};

// The number in a circle of the plot is its rank, and the size its price. `data-place` is the rank by the default weights.
const updatePoints = (plot, targets) => {
  const highest = Math.max(0, ...targets.map(({ usd }) => usd ?? 0));
  targets.forEach(({ row, usd }, index) => {
    const place = row.dataset.place;
    for (const number of all(`[data-number="${place}"]`, plot)) number.textContent = index + 1;
    for (const circle of all(`[data-point="${place}"]`, plot)) {
      circle.setAttribute("r", usd && highest ? 9 + 6 * Math.sqrt(usd / highest) : 9);
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
    for (const ranking of all("[data-ranking]")) rank(ranking, weights, read("characters"), read("volume"));
    const changed = MEASURES.some((measure) => form.elements[measure].value !== usual[measure]);
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
