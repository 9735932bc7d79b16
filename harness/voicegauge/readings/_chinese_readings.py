"""Readings of numbers, dates, times, money and units in Chinese, and of numbers in Japanese."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from voicegauge.readings.number_words import MAX_NUMBER, read_cardinal, read_digits
from voicegauge.readings.spoken_alternatives import SILENCE, Expression, either, optional, say, sequence

_CURRENCIES = {"¥": "元|块|块钱", "￥": "元|块|块钱", "$": "美元|元", "€": "欧元", "£": "英镑"}
_UNITS = {
    "km/h": "公里每小时",
    "km": "公里|千米",
    "kg": "公斤|千克",
    "cm": "厘米|公分",
    "mm": "毫米",
    "mg": "毫克",
    "ml": "毫升",
    "mL": "毫升",
    "m": "米|公尺",
    "g": "克",
    "L": "升",
    "°C": "摄氏度|度",
    "°": "度",
}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"


class ChinesePattern(NamedTuple):
    """A kind of entity, with its pattern and the function that reads a match in a language."""

    kind: str
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str], str], Expression]


def _read_number(written: str, language: str) -> Expression:
    whole, _, decimals = written.replace(",", "").partition(".")
    readings = []
    if int(whole) <= MAX_NUMBER and (whole[0] != "0" or len(whole) == 1):
        readings.append(read_cardinal(int(whole), language))
    if len(whole) >= 3 or not readings:
        readings.append(read_digits(whole, language))
    point = {"ja": "点|てん"}.get(language, "点")
    rest = sequence(say(point), read_digits(decimals, language)) if decimals else SILENCE
    return sequence(either(readings), rest)


def _read_date(match: re.Match[str], language: str) -> Expression:
    year, month, day = match["year"], int(match["month"]), int(match["day"])
    years = sequence(read_digits(year, language), say("年")) if year else SILENCE
    return sequence(
        years,
        read_cardinal(month, language),
        say("月"),
        read_cardinal(day, language),
        say("日|号" if language == "zh" else "日"),
    )


def _read_year(match: re.Match[str], language: str) -> Expression:
    return either([read_digits(match[0], language), read_cardinal(int(match[0]), language)])


def _read_time(match: re.Match[str], language: str) -> Expression:
    hour, minute = int(match["hour"]), int(match["minute"])
    readings = [_read_clock(hour, minute, language)]
    if hour > 12 and language == "zh":
        readings.append(sequence(say("下午|晚上"), _read_clock(hour - 12, minute, language)))
    return either(readings)


def _read_clock(hour: int, minute: int, language: str) -> Expression:
    if language == "ja":
        minutes = sequence(read_cardinal(minute, "ja"), say("分")) if minute else SILENCE
        return sequence(read_cardinal(hour, "ja"), say("時"), either([minutes, say("半")]) if minute == 30 else minutes)
    hours = sequence(either([say("两"), say("二")]) if hour == 2 else read_cardinal(hour, "zh"), say("点|点钟"))
    if minute == 0:
        return sequence(hours, optional(say("整")))
    number = read_cardinal(minute, "zh")
    minutes = either([sequence(say("零"), number), number]) if minute < 10 else number
    readings = [sequence(minutes, optional(say("分")))]
    readings += [say({30: "半", 15: "一刻", 45: "三刻"}[minute])] if minute in (15, 30, 45) else []
    return sequence(hours, either(readings))


def _read_percent(match: re.Match[str], language: str) -> Expression:
    if language == "ja":
        return sequence(_read_number(match["number"], language), say("パーセント|%"))
    return sequence(say("百分之"), _read_number(match["number"], language))


def _read_money(match: re.Match[str], language: str) -> Expression:
    names = {"¥": "円", "￥": "円", "$": "ドル", "€": "ユーロ", "£": "ポンド"} if language == "ja" else _CURRENCIES
    return sequence(_read_number(match["number"], language), say(names[match["sign"]]))


def _read_quantity(match: re.Match[str], language: str) -> Expression:
    return sequence(_read_number(match["number"], language), say(_UNITS[match["unit"]]))


def _read_long_number(match: re.Match[str], language: str) -> Expression:
    return sequence(*(read_digits(group, language) for group in re.findall(r"\d+", match[0])))


def _read_plain(match: re.Match[str], language: str) -> Expression:
    return _read_number(match[0], language)


def _read_minus(match: re.Match[str], language: str) -> Expression:
    minus = say("负|零下" if language == "zh" else "マイナス")
    unit = say(_UNITS[match["unit"]]) if match["unit"] else SILENCE
    return sequence(minus, _read_number(match["number"], language), unit)


_UNIT_PATTERN = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
CHINESE_PATTERNS = (
    ChinesePattern("date", re.compile(r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?P<day>\d{1,2})[日号]"), _read_date),
    ChinesePattern(
        "date",
        re.compile(r"(?P<year>\d{4})[-/.](?P<month>0?[1-9]|1[0-2])[-/.](?P<day>0?[1-9]|[12]\d|3[01])(?!\d)"),
        _read_date,
    ),
    ChinesePattern("date", re.compile(r"\d{4}(?=年)"), _read_year),
    ChinesePattern("time", re.compile(r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)"), _read_time),
    ChinesePattern("phone", re.compile(r"\+?\d[\d -]{5,}\d(?!\d)"), _read_long_number),
    ChinesePattern("percent", re.compile(rf"(?P<number>{_NUMBER})%"), _read_percent),
    ChinesePattern("money", re.compile(rf"(?P<sign>[¥￥$€£])\s?(?P<number>{_NUMBER})"), _read_money),
    ChinesePattern(
        "number", re.compile(rf"(?<![\d.])[-−](?P<number>{_NUMBER})(?P<unit>{_UNIT_PATTERN})?"), _read_minus
    ),
    ChinesePattern(
        "unit", re.compile(rf"(?P<number>{_NUMBER})\s?(?P<unit>{_UNIT_PATTERN})(?![A-Za-z])"), _read_quantity
    ),
    ChinesePattern("number", re.compile(_NUMBER), _read_plain),
)
"""Kinds of entities in Chinese and Japanese texts, in the order in which they are tried."""


def iterate_chinese_entities(text: str, language: str) -> Iterator[tuple[int, int, str, Expression]]:
    """Yield the start, the end, the kind and the readings of each entity, in the order of the text."""
    at = 0
    while at < len(text):
        found = [
            (match.start(), order, match)
            for order, one in enumerate(CHINESE_PATTERNS)
            if (match := one.pattern.search(text, at))
        ]
        if not found:
            return
        _, order, match = min(found, key=lambda one: one[:2])
        yield match.start(), match.end(), CHINESE_PATTERNS[order].kind, CHINESE_PATTERNS[order].read(match, language)
        at = match.end()
