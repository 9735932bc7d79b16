// Every price that depends on the length of a text follows the reader's text length and monthly volume. The functions
// compute what those of the same names in `model/price.py` and `bench/target_cost.py` do.
const formatUsd = (value) => {
  const small = value > 0 && value < 0.001;
  const decimals = small ? 1 - Math.floor(Math.log10(value)) : value >= 0.99995 ? 2 : 4;
  return "$" + value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: decimals });
};

const isSamePrice = (first, second) => Math.abs(first - second) <= 0.005 * Math.max(first, second);

const countUnits = (part, characters, isAtMost, audioSeconds) => {
  let used = isAtMost
    ? part.max_units_per_request + part.max_units_per_character * characters
    : part.units_per_request + part.units_per_character * characters;
  if (part.unit === "audio_second" && audioSeconds !== null) used = audioSeconds * characters;
  if (part.unit === "request") return used;
  const step = part.rounding_step;
  return Math.max(step ? Math.ceil(used / step - 1e-6) * step : used, part.min_charged_units);
};

const sumRequests = (characters, limit, computeRequest) => {
  if (!limit || characters <= limit) return computeRequest(characters);
  const rest = characters % limit;
  return computeRequest(limit) * Math.floor(characters / limit) + (rest ? computeRequest(rest) : 0);
};

// The price of a month with an account plan; null if the plan does not allow so much.
const planPriceOf = (plan, units) => {
  const beyond = Math.max(0, units - (plan.included_units_per_month ?? 0));
  return beyond && !plan.allows_extra_units ? null : { usd: plan.monthly_fee_usd + beyond * plan.usd_per_extra_unit, plan: plan.name };
};

// The price of one text, and of the month with the cheapest plan, by one claim.
const claimPriceOf = (line, claim, isAtMost, characters, volume) => {
  const atMost = isAtMost || claim.exactness === "upper_bound";
  const units = (part) => (length) => countUnits(part, length, atMost, line.audio_s_per_character);
  const text = claim.parts.reduce((sum, part) => sum + part.usd_per_unit * sumRequests(characters, line.max_characters, units(part)), 0);
  const texts = volume / characters;
  const paid = claim.parts.length === 1 ? claim.plans.filter(({ monthly_fee_usd: fee, included_units_per_month: included }) => fee || (fee === 0 && included === null)) : [];
  const used = paid.length ? texts * sumRequests(characters, line.max_characters, units(claim.parts[0])) : 0;
  const [cheapest] = paid.map((plan) => planPriceOf(plan, used)).filter(Boolean).sort((a, b) => a.usd - b.usd);
  return { text, month: cheapest?.usd ?? text * texts, plan: cheapest?.plan ?? "" };
};

const BINDING = ["price_page", "quoted_price_page", "provider_text"];

const rangeOf = (priced, unit) => {
  const binding = priced.filter(({ claim }) => BINDING.includes(claim.claimant));
  const comparable = binding.filter(({ claim }) => claim.exactness !== "upper_bound");
  const best = comparable.reduce((newest, one) => (!newest || (one.claim.date || "9999") > (newest.claim.date || "9999") ? one : newest), null);
  const usd = best ? best.typical[unit] : null;
  const differing = (ones) => [...new Set(ones.map(({ typical }) => typical[unit]).filter((amount) => usd === null || !isSamePrice(amount, usd)))].sort((a, b) => a - b);
  const highest = best ? best.highest[unit] : binding.length ? Math.max(...binding.map(({ highest: one }) => one[unit])) : null;
  const known = priced.filter(({ claim }) => claim.exactness !== "upper_bound").map(({ typical }) => typical[unit]);
  const plans = new Set((best ? [best] : priced).map(({ typical }) => typical.plan));
  return {
    usd,
    low: known.length ? Math.min(...known) : null,
    high: Math.max(...priced.map(({ typical, highest: one }) => Math.max(typical[unit], one[unit]))),
    atMost: highest !== null && usd !== null && isSamePrice(highest, usd) ? null : highest,
    isQuoted: best?.claim.claimant === "quoted_price_page",
    disputed: differing(comparable.filter((one) => one !== best)),
    thirdParty: differing(priced.filter((one) => !binding.includes(one))),
    plan: plans.size === 1 ? [...plans][0] : "",
  };
};

const formatRange = (amounts) => {
  const [low, high] = [formatUsd(Math.min(...amounts)), formatUsd(Math.max(...amounts))];
  return low === high ? low : `${low} to ${high}`;
};

const formatAmount = ({ usd, atMost, thirdParty }) => {
  if (usd !== null) return formatUsd(usd);
  return thirdParty.length ? `(${formatRange(thirdParty)})` : atMost === null ? "" : `at most ${formatUsd(atMost)}`;
};

const formatRemark = ({ usd, atMost, isQuoted, disputed, thirdParty }) => {
  const name = (amounts) => (amounts.length === 1 ? "third party" : "third parties");
  const most = atMost === null ? [] : [`at most ${formatUsd(atMost)}`];
  if (usd === null) return thirdParty.length ? [name(thirdParty), ...most].join(", ") : "";
  const remarks = [...most, ...(isQuoted ? ["quoted"] : [])];
  if (disputed.length) remarks.push(`disputed: ${formatRange(disputed)}`);
  if (thirdParty.length) remarks.push(`${name(thirdParty)}: ${formatRange(thirdParty)}`);
  return remarks.join(", ");
};

const describePrice = (range) => {
  const [amount, remark] = [formatAmount(range), formatRemark(range)];
  if (!remark) return amount;
  return range.usd === null ? `${amount.slice(0, -1)}, ${remark})` : `${amount} (${remark})`;
};

// The ranges of a text, of a month and of a million characters; null without a price.
const priceOf = (element, characters, volume) => {
  if (element?.dataset.claims === undefined) return null;
  const line = JSON.parse(element.dataset.claims);
  const priced = line.claims.map((claim) => {
    const [typical, highest] = [false, true].map((isAtMost) => {
      const price = claimPriceOf(line, claim, isAtMost, characters, volume);
      return { ...price, million: (price.month / volume) * 1e6 };
    });
    return { claim, typical, highest };
  });
  return { text: rangeOf(priced, "text"), month: rangeOf(priced, "month"), million: rangeOf(priced, "million") };
};

const describeCheapest = (priced, characters) => {
  const sorted = [...priced].sort((a, b) => a.range.usd - b.range.usd);
  const next = sorted.find(({ range }) => range.usd > sorted[0].range.usd * 1.000001);
  const lead = `${sorted[0].name} costs ${describePrice(sorted[0].range)} for a million characters in texts of ${characters.toLocaleString("en-US")} characters`;
  return next ? `${lead}, and the next, ${next.name}, ${describePrice(next.range)}.` : `${lead}.`;
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
    const priced = all(".ranked [data-claims]", run)
      .map((row) => ({ name: row.dataset.name, range: priceOf(row, characters, volume).million }))
      .filter(({ range }) => range.usd !== null);
    const isUsual = characters === usualAmounts.characters && volume === usualAmounts.volume;
    if (isUsual || !priced.length) {
      detail.textContent = detail.dataset.usual;
      if (summary) summary.textContent = summary.dataset.usual;
      return;
    }
    const remarks = detail.dataset.usual.split(". ").slice(1).join(". ");
    detail.textContent = [describeCheapest(priced, characters), remarks].filter(Boolean).join(" ");
    if (summary && / the cheapest/.test(summary.dataset.usual)) {
      const lowest = Math.min(...priced.map(({ range }) => range.usd));
      const isLowest = ({ range }) => range.usd <= lowest * 1.000001;
      const names = priced.filter(isLowest).map(({ name }) => name), others = priced.filter((target) => !isLowest(target));
      const highest = Math.max(...priced.filter(isLowest).map(({ range }) => range.high));
      const isSure = others.every(({ range }) => range.low !== null && highest < range.low);
      const claim = isSure ? "the cheapest" : "not surely the cheapest: the ranges of prices overlap";
      summary.textContent = `${joinNames(names)} ${names.length > 1 ? "are" : "is"} ${claim}`;
    }
  });
};

const usualAmounts = {};

const updatePrices = (characters, volume) => {
  for (const element of all("[data-characters]")) element.textContent = characters.toLocaleString("en-US");
  for (const element of all("[data-volume]")) element.textContent = volume.toLocaleString("en-US");
  for (const element of all("[data-price]")) {
    const price = priceOf(element.closest("[data-claims]"), characters, volume);
    if (!price) continue;
    const range = price[element.dataset.price];
    element.textContent = formatAmount(range);
    const cell = element.closest("[data-value]");
    if (cell) cell.dataset.value = range.usd ?? "";
    const plan = cell && one("[data-plan] bdi", cell);
    if (plan) plan.textContent = range.plan;
    const remark = cell && one("[data-remark] bdi", cell);
    if (remark) remark.textContent = formatRemark(range);
  }
  updateVerdicts(characters, volume);
};
