"""Readings of dates and times of day."""

from __future__ import annotations

from voicegauge.readings._number_readings import read_number, read_ordinal, read_whole_number
from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.number_words import read_cardinal, read_digits
from voicegauge.readings.spoken_alternatives import (
    SILENCE,
    Expression,
    either,
    iterate_readings,
    optional,
    say,
    sequence,
)


def find_month(name: str, language: str) -> int | None:
    """Return the number of a month from its name or the start of its name; `None` if there is none."""
    wanted = name.casefold().rstrip(".")
    for number, names in enumerate(WORDS_BY_LANGUAGE[language].months, 1):
        if any(
            one.casefold() == wanted or (len(wanted) >= 3 and one.casefold().startswith(wanted))
            for one in names.split("|")
        ):
            return number
    return None


def read_date(day: int, month: int, year: str | None, language: str) -> Expression:
    """Return the readings of a date, with the name of its month.

    Args:
        day: day of the month.
        month: number of the month, from 1.
        year: its digits; `None` without a year.
        language: one of `WORDS_BY_LANGUAGE`.
    """
    words = WORDS_BY_LANGUAGE[language]
    name = say(words.months[month - 1])
    link = optional(say(words.date_link)) if words.date_link else SILENCE
    after = sequence(link, _read_year(year, language)) if year else SILENCE
    if language == "en":
        days = either([read_ordinal(day, "en"), read_cardinal(day, "en")])
        return either(
            [sequence(name, say("(the)"), days, after), sequence(say("(the)"), days, say("(of)"), name, after)]
        )
    return sequence(_read_day(day, language), link, name, after)


def read_numeric_date(day: int, month: int, year: str, language: str) -> Expression:
    """Return the readings of a date in digits: with the name of its month, or as numbers in the usual order."""
    words = WORDS_BY_LANGUAGE[language]
    numbers = [read_cardinal(day, language), read_cardinal(month, language)]
    in_order = numbers if words.day_first else numbers[::-1]
    slash = say("(slash)|de|del" if words.date_link else "(slash)")
    readings = [
        read_date(day, month, year, language),
        sequence(in_order[0], slash, in_order[1], slash, _read_year(year, language)),
    ]
    if language == "de":
        readings.append(sequence(read_ordinal(day, "de"), read_ordinal(month, "de"), _read_year(year, "de")))
    return either(readings)


def _read_day(day: int, language: str) -> Expression:
    if language == "de":
        return either([read_ordinal(day, "de"), read_cardinal(day, "de")])
    first = WORDS_BY_LANGUAGE[language].first_day
    number = read_cardinal(day, language)
    return either([say(first), number]) if day == 1 and first else number


def _read_year(year: str, language: str) -> Expression:
    return read_whole_number(year, language)


def read_time(hour: int, minute: int, second: int | None, half: str, language: str) -> Expression:
    """Return the readings of a time of day.

    Args:
        hour: 0 to 24.
        minute: 0 to 59.
        second: 0 to 59; `None` without seconds.
        half: "am", "pm", or "" without either.
        language: one of `WORDS_BY_LANGUAGE`.
    """
    words = WORDS_BY_LANGUAGE[language]
    after = {"am": say(words.morning), "pm": say(words.afternoon)}.get(half, SILENCE)
    seconds = _read_seconds(second, language)
    readings = [sequence(_read_clock(hour, minute, language), seconds, after)]
    if not half and second is None:
        is_afternoon = hour >= 12
        part = optional(say(words.afternoon if is_afternoon else words.morning))
        if hour > 12 or hour == 0:
            readings.append(sequence(_read_clock(hour - 12 if hour else 12, minute, language), part))
        else:
            readings.append(sequence(_read_clock(hour, minute, language), part))
    return either(readings)


def _read_seconds(second: int | None, language: str) -> Expression:
    if second is None:
        return SILENCE
    many = WORDS_BY_LANGUAGE[language].units["s"][1]
    number = read_number(f"{second:02d}", language) if second < 10 else read_cardinal(second, language)
    link = {"en": "(and)", "de": "(und)", "es": "(y)", "fr": "(et)", "it": "(e)", "pt": "(e)"}[language]
    return sequence(say(link), either([number, read_cardinal(second, language)]), say(f"({many.split('|')[0]})"))


def _read_clock(hour: int, minute: int, language: str) -> Expression:
    words = WORDS_BY_LANGUAGE[language]
    hours = read_cardinal(hour, language)
    hour_word = say("|".join(words.hour))
    if minute == 0:
        whole = [sequence(hours, optional(hour_word))]
        if language == "en":
            whole.append(sequence(hours, say("hundred"), say("(hours)")))
        return either(whole)
    number = read_cardinal(minute, language)
    minutes = either([read_digits(f"{minute:02d}", language), number]) if minute < 10 else number
    link = {"es": "(y)", "it": "(e)", "pt": "(e)"}.get(language, "")
    minute_word = say(f"({words.minute})") if words.minute else SILENCE
    readings = [sequence(hours, optional(hour_word), say(link), minutes, minute_word)]
    if language == "en" or hour == 24:
        readings = [sequence(hours, minutes)]
    return either([*readings, *_list_spoken_clock_readings(hour, minute, language)])


def _list_spoken_clock_readings(hour: int, minute: int, language: str) -> list[Expression]:
    """Return readings such as "half past ten"."""
    words = WORDS_BY_LANGUAGE[language]
    patterns = {30: words.half_past, 15: words.quarter_past, 45: words.quarter_to}.get(minute, "")
    patterns = "|".join(filter(None, [patterns, words.minutes_past, words.minutes_to]))
    this_hour = "|".join(" ".join(one) for one in iterate_readings(read_cardinal(hour, language)))
    next_hour = "|".join(
        " ".join(one)
        for one in iterate_readings(read_cardinal(hour % 12 + 1 if hour <= 12 else (hour + 1) % 24, language))
    )
    past = "|".join(" ".join(one) for one in iterate_readings(read_cardinal(minute, language)))
    to = "|".join(" ".join(one) for one in iterate_readings(read_cardinal(60 - minute, language)))
    return [
        _fill(pattern, {"hour": this_hour, "next": next_hour, "minutes": to if "{next}" in pattern else past})
        for pattern in patterns.split("|")
        if pattern
    ]


def _fill(pattern: str, readings: dict[str, str]) -> Expression:
    pieces = pattern.replace("{", "\0{").replace("}", "}\0").split("\0")
    return sequence(*(say(readings[piece[1:-1]]) if piece.startswith("{") else say(piece) for piece in pieces))
