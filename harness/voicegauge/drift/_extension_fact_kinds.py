"""Defines the kinds of facts of `x-` extensions, and the facts about audio and prices that several share."""

from __future__ import annotations

from typing import Literal, NamedTuple

from voicegauge.drift.drift_report import DriftLevel

# A fact that an extension can document, and the kinds of facts.


# Each name is a single letter, because the tables of facts are read by column.
B, P, C = DriftLevel.BREAKING, DriftLevel.POSSIBLY_BREAKING, DriftLevel.COMPATIBLE
"""The levels, under short names for the tables of facts."""

ComparisonMethod = Literal["number", "value", "whole", "names", "pairs", "choices", "flag"]
"""How two values of a fact are compared.

- number: the number was increased, decreased, newly documented, or is no longer documented
- value: the value was added, removed or changed; the content of a mapping is compared by facts of its own
- whole: as for a value, but any difference in the content of a mapping is a change
- names: names were added to or removed from a list or a mapping; the order is ignored
- pairs: as for names, but items that are recognized as the same in both lists are not reported: facts of their own
  compare their content. Such items are prices of which only amounts were changed, messages, and groups of locations
- choices: as for names, but an empty list means that nothing is documented rather than that nothing is allowed
- flag: the value became true or is no longer true
"""

_DESCRIPTION_BY_DIFFERENCE = {
    "increased": "was increased",
    "decreased": "was decreased",
    "set": "is now documented",
    "unset": "is no longer documented",
    "added": "was added",
    "removed": "was removed",
    "changed": "was changed",
}
"""The words that rule descriptions use for each difference. The key is the last word of the rule id."""

_WORD_BY_FLAG_DIFFERENCE = {"began": "now", "ended": "no longer"}
"""The words that replace `{}` in the description of a flag. The key is the last word of the rule id."""


class ExtensionFact(NamedTuple):
    """A property of an `x-` key, given by its path, and the rules that report changes of its value."""

    fact_path: str
    """Path in the record, in which `*` means every key: "states/*/charged". Empty for the extension as a whole."""
    rule_id_prefix: str
    """Start of the ids of the rules for this fact."""
    description_subject: str
    """Subject of the rule descriptions. For a flag, the whole sentence, with `{}` in place of "now" or "no longer"."""
    comparison_method: ComparisonMethod
    level_by_difference: dict[str, DriftLevel]
    """Level of each difference, by the end of the rule id. Differences without a level are not reported."""

    def describe_difference(self, difference: str) -> str:
        """Return the description of the rule for a difference."""
        if self.comparison_method == "flag":
            return self.description_subject.format(_WORD_BY_FLAG_DIFFERENCE[difference])
        return f"{self.description_subject} {_DESCRIPTION_BY_DIFFERENCE[difference]}"


def build_optional_number_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    difference_levels: tuple[DriftLevel, DriftLevel, DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about a number that may be missing.

    `difference_levels` has the levels of four differences, in this order: the number was increased, was decreased, was
    newly documented, is no longer documented.
    """
    differences = ("increased", "decreased", "set", "unset")
    return ExtensionFact(
        fact_path, rule_id_prefix, description_subject, "number", dict(zip(differences, difference_levels, strict=True))
    )


def build_number_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    increase_and_decrease_levels: tuple[DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about a number that is never missing."""
    differences = ("increased", "decreased")
    return ExtensionFact(
        fact_path,
        rule_id_prefix,
        description_subject,
        "number",
        dict(zip(differences, increase_and_decrease_levels, strict=True)),
    )


def build_optional_value_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    addition_removal_and_change_levels: tuple[DriftLevel, DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about a value that may be missing."""
    differences = ("added", "removed", "changed")
    return ExtensionFact(
        fact_path,
        rule_id_prefix,
        description_subject,
        "value",
        dict(zip(differences, addition_removal_and_change_levels, strict=True)),
    )


def build_required_value_fact(
    fact_path: str, rule_id_prefix: str, description_subject: str, level_if_changed: DriftLevel
) -> ExtensionFact:
    """Return a fact about a value that cannot be added or removed alone, so that only its changes are reported."""
    return ExtensionFact(fact_path, rule_id_prefix, description_subject, "value", {"changed": level_if_changed})


def build_presence_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    addition_and_removal_levels: tuple[DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about whether an object exists. Other facts compare the content of the object."""
    return ExtensionFact(
        fact_path,
        rule_id_prefix,
        description_subject,
        "value",
        dict(zip(("added", "removed"), addition_and_removal_levels, strict=True)),
    )


def build_names_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    addition_and_removal_levels: tuple[DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about the names in a list, or about the keys of an object. The order of the names is ignored."""
    return ExtensionFact(
        fact_path,
        rule_id_prefix,
        description_subject,
        "names",
        dict(zip(("added", "removed"), addition_and_removal_levels, strict=True)),
    )


def build_paired_items_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    addition_and_removal_levels: tuple[DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about which items are in a list. Other facts compare the content of an item in both contracts."""
    names = build_names_fact(fact_path, rule_id_prefix, description_subject, addition_and_removal_levels)
    return names._replace(comparison_method="pairs")


def build_template_fact(
    fact_path: str,
    rule_id_prefix: str,
    description_subject: str,
    addition_removal_and_change_levels: tuple[DriftLevel, DriftLevel, DriftLevel],
) -> ExtensionFact:
    """Return a fact about a JSON value that may be missing, and that is compared as a whole."""
    value = build_optional_value_fact(
        fact_path, rule_id_prefix, description_subject, addition_removal_and_change_levels
    )
    return value._replace(comparison_method="whole")


def build_required_template_fact(
    fact_path: str, rule_id_prefix: str, description_subject: str, level_if_changed: DriftLevel
) -> ExtensionFact:
    """Return a fact about a JSON value that is never missing, and that is compared as a whole."""
    value = build_required_value_fact(fact_path, rule_id_prefix, description_subject, level_if_changed)
    return value._replace(comparison_method="whole")


def build_choices_fact(fact_path: str, rule_id_prefix: str, description_subject: str) -> ExtensionFact:
    """Return a fact about the values among which a client may choose. An empty list means that none are documented."""
    return ExtensionFact(
        fact_path, rule_id_prefix, description_subject, "choices", {"added": C, "removed": B, "set": P, "unset": P}
    )


def build_flag_fact(
    fact_path: str, rule_id_prefix: str, description_sentence: str, true_and_false_levels: tuple[DriftLevel, DriftLevel]
) -> ExtensionFact:
    """Return a fact about a boolean. `true_and_false_levels` are the levels of becoming true and of becoming false."""
    return ExtensionFact(
        fact_path,
        rule_id_prefix,
        description_sentence,
        "flag",
        dict(zip(("began", "ended"), true_and_false_levels, strict=True)),
    )


# Facts about audio and about prices, which several extensions document.


def build_price_facts(fact_path: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about a price. `fact_path` is the path of the price in a record; empty for the record itself."""
    prefix = f"{fact_path}/" if fact_path else ""
    return (
        build_presence_fact(fact_path, "price", "The price", (P, P)),
        build_paired_items_fact(
            f"{prefix}alternatives", "price-reading", "An alternative price from another document", (P, C)
        ),
        *(
            fact
            for reading in (prefix, f"{prefix}alternatives/*/")
            for fact in (
                *_build_amount_facts(reading),
                build_paired_items_fact(f"{reading}added_parts", "price-part", "A further part of the price", (P, C)),
                *_build_amount_facts(f"{reading}added_parts/*/"),
            )
        ),
    )


def _build_amount_facts(prefix: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about the amounts of one part of a price, below a path that is empty or ends with a slash."""
    return (
        build_optional_number_fact(f"{prefix}usd_per_unit", "price-usd", "The price in US dollars", (P, C, P, P)),
        build_optional_number_fact(f"{prefix}credits_per_unit", "price-credits", "The price in credits", (P, C, P, P)),
        build_required_value_fact(f"{prefix}unit", "price-unit", "The unit that the price is for", P),
        build_required_value_fact(
            f"{prefix}character_counting/counted_unit", "price-count", "What is counted for the price", P
        ),
        build_flag_fact(
            f"{prefix}character_counting/counts_whitespace",
            "price-white-space",
            "White space {} counts for the price",
            (P, C),
        ),
        build_optional_value_fact(
            f"{prefix}character_counting/characters_counted_twice",
            "price-doubled-characters",
            "Which characters count twice for the price",
            (P, C, P),
        ),
        build_flag_fact(f"{prefix}character_counting/counts_tags", "price-tags", "Tags {} count for the price", (P, C)),
        build_names_fact(
            f"{prefix}character_counting/uncounted_tag_names",
            "price-free-tag",
            "A tag that does not count for the price",
            (C, P),
        ),
        build_optional_number_fact(
            f"{prefix}rounding_step", "price-rounding", "The step to which a request is rounded up", (P, C, P, C)
        ),
        build_number_fact(
            f"{prefix}min_charged_quantity", "price-rounding", "What a request is charged for at least", (P, C)
        ),
        *_build_usage_facts(prefix),
        *_build_plan_price_facts(prefix),
    )


def _build_usage_facts(prefix: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about prices by usage, below a path that is empty or ends with a slash."""
    return (
        build_presence_fact(f"{prefix}usage", "price-usage", "The usage that a request is charged at most", (P, P)),
        build_number_fact(
            f"{prefix}usage/max_per_request",
            "price-usage",
            "The usage that a request without text is charged at most",
            (P, C),
        ),
        build_number_fact(
            f"{prefix}usage/max_per_character",
            "price-usage-per-character",
            "The usage that a character is charged at most",
            (P, C),
        ),
        build_optional_value_fact(
            f"{prefix}usage/reported_usage_location", "price-usage-location", "The location of the usage", (C, P, P)
        ),
        build_optional_value_fact(
            f"{prefix}usage/event_usage_location", "price-usage-location", "The location of the usage", (C, P, P)
        ),
    )


def _build_plan_price_facts(prefix: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about prices of account plans, below a path that is empty or ends with a slash."""
    return (
        build_names_fact(f"{prefix}plan_prices", "price-plan", "An account plan with a price of its own", (C, P)),
        build_optional_number_fact(
            f"{prefix}plan_prices/*/usd_per_unit", "price-usd", "The price in US dollars", (P, C, P, P)
        ),
        build_optional_number_fact(
            f"{prefix}plan_prices/*/credits_per_unit", "price-credits", "The price in credits", (P, C, P, P)
        ),
        build_optional_number_fact(
            f"{prefix}plan_prices/*/included_units_per_month",
            "price-included",
            "The usage that the fee of a plan includes",
            (C, P, C, P),
        ),
        build_optional_number_fact(
            f"{prefix}plan_prices/*/monthly_fee_usd", "price-fee", "The monthly fee of a plan", (P, C, P, C)
        ),
        build_flag_fact(
            f"{prefix}plan_prices/*/allows_extra_units",
            "price-overage",
            "More than a plan includes {} can be bought",
            (C, P),
        ),
    )


def build_audio_facts(fact_path: str, rule_id_prefix: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about audio at `fact_path` in a record; the ids of their rules begin with `rule_id_prefix`."""
    return (
        build_required_value_fact(f"{fact_path}/location", f"{rule_id_prefix}-place", "The location of the audio", B),
        build_required_value_fact(
            f"{fact_path}/delivery_method", f"{rule_id_prefix}-delivery", "The way in which the audio is delivered", B
        ),
        build_optional_value_fact(
            f"{fact_path}/format", f"{rule_id_prefix}-format", "The only format of the audio", (C, P, B)
        ),
        build_optional_value_fact(
            f"{fact_path}/media_type_location",
            f"{rule_id_prefix}-media-type-place",
            "The location of the audio's media type",
            (C, P, B),
        ),
        build_optional_value_fact(
            f"{fact_path}/sample_rate_hz", f"{rule_id_prefix}-sample-rate", "The sample rate of raw audio", (C, B, B)
        ),
        build_required_value_fact(
            f"{fact_path}/channels", f"{rule_id_prefix}-channels", "The number of channels of raw audio", B
        ),
        build_names_fact(
            f"{fact_path}/timestamps", f"{rule_id_prefix}-timestamps", "The timestamps of characters or words", (C, B)
        ),
        build_optional_value_fact(
            f"{fact_path}/download_operation_id",
            f"{rule_id_prefix}-download",
            "The operation that the audio URL belongs to",
            (C, P, P),
        ),
    )


AMOUNT_PATHS = (
    *(tuple(one.fact_path.split("/")) for one in _build_amount_facts("") if one.fact_path != "usage"),
    ("added_parts",),
)
"""The paths, in a price, of what facts of its own compare in both contracts. Of `usage`, it is only some fields."""
PRICING_FACTS = build_price_facts("")
"""The facts of `x-pricing` that are compared, with the levels of their changes."""
