// Every price that depends on the length of a text follows the reader's text length and monthly volume.
const formatUsd = (value) => {
  const small = value > 0 && value < 0.001;
  const decimals = small ? 1 - Math.floor(Math.log10(value)) : value >= 1 ? 2 : 4;
  return "$" + value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
};

// The price of a month with an account plan; null if the plan does not allow so much.
const planPriceOf = (plan, requests, volume) => {
  const beyond = Math.max(0, (plan.unit === "request" ? requests : volume) - plan.included_units);
  return beyond && !plan.allows_extra_units ? null : { usd: plan.monthly_fee_usd + beyond * plan.usd_per_extra_unit, plan: plan.name };
};

const priceOf = (line, characters, volume) => {
  if (line?.dataset.fixed === undefined) return null;
  const limit = Number(line.dataset.maxCharacters);
  const requests = limit ? Math.max(1, Math.ceil(characters / limit)) : 1;
  const text = Number(line.dataset.fixed) * requests + Number(line.dataset.character) * characters;
  const texts = volume / characters;
  const plans = JSON.parse(line.dataset.plans ?? "[]").map((plan) => planPriceOf(plan, texts * requests, volume));
  const [cheapest] = plans.filter(Boolean).sort((a, b) => a.usd - b.usd);
  const month = cheapest?.usd ?? text * texts;
  return { text, month, million: (month / volume) * 1e6, plan: cheapest?.plan ?? "" };
};

const describeCheapest = (priced, characters) => {
  const sorted = [...priced].sort((a, b) => a.usd - b.usd);
  const next = sorted.find(({ usd }) => usd > sorted[0].usd * 1.000001);
  const lead = `${sorted[0].name} costs ${formatUsd(sorted[0].usd)} for a million characters in texts of ${characters.toLocaleString("en-US")} characters`;
  return next ? `${lead}, and the next, ${next.name}, ${formatUsd(next.usd)}.` : `${lead}.`;
};

// At most three names, as `format_target_names` does.
const joinNames = (names) => {
  if (names.length > 3) return `${names.slice(0, 3).join(", ")} and ${names.length - 3} other${names.length > 4 ? "s" : ""}`;
  return [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");
};

const updateVerdicts = (characters, volume) => {
  all("[data-run]").forEach((run) => {
    const detail = one("[data-price-detail] bdi", run), summary = one("[data-price-summary] bdi", run);
    if (!detail) return;
    detail.dataset.usual ??= detail.textContent;
    if (summary) summary.dataset.usual ??= summary.textContent;
    const priced = all(".ranked [data-fixed]", run).map((row) => ({ name: row.dataset.name, usd: priceOf(row, characters, volume).million }));
    const isUsual = characters === usualAmounts.characters && volume === usualAmounts.volume;
    if (isUsual || !priced.length) {
      detail.textContent = detail.dataset.usual;
      if (summary) summary.textContent = summary.dataset.usual;
      return;
    }
    const remarks = detail.dataset.usual.split(". ").slice(1).join(". ");
    detail.textContent = [describeCheapest(priced, characters), remarks].filter(Boolean).join(" ");
    if (summary && / the cheapest/.test(summary.dataset.usual)) {
      const lowest = Math.min(...priced.map(({ usd }) => usd));
      const names = priced.filter(({ usd }) => usd <= lowest * 1.000001).map(({ name }) => name);
      const remark = summary.dataset.usual.split(" the cheapest")[1];
      summary.textContent = `${joinNames(names)} ${names.length > 1 ? "are" : "is"} the cheapest${remark}`;
    }
  });
};

const usualAmounts = {};

const updatePrices = (characters, volume) => {
  for (const element of all("[data-characters]")) element.textContent = characters.toLocaleString("en-US");
  for (const element of all("[data-volume]")) element.textContent = volume.toLocaleString("en-US");
  for (const element of all("[data-price]")) {
    const price = priceOf(element.closest("[data-fixed]"), characters, volume);
    if (!price) continue;
    const usd = price[element.dataset.price];
    element.textContent = formatUsd(usd);
    const cell = element.closest("[data-value]");
    if (cell) cell.dataset.value = usd;
    const plan = cell && one("[data-plan] bdi", cell);
    if (plan) plan.textContent = price.plan;
  }
  updateVerdicts(characters, volume);
};
