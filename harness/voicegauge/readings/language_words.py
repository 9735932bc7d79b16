"""Words around numbers in each language: months, currencies, units, times of day, signs.

In the readings, "|" separates alternatives and words in parentheses may be left out.
"""

from __future__ import annotations

from typing import NamedTuple


class LanguageWords(NamedTuple):
    """The words of one language that are used to read numbers, dates, times, amounts and signs."""

    decimal_sign: str
    """The sign before decimals: "." or ","."""
    decimal_sign_words: str
    """How the decimal sign within a number is read."""
    months: tuple[str, ...]
    """Names of the months, from January."""
    first_day: str
    """How the first day of a month is read; empty if it is read as a number like the other days."""
    date_link: str
    """What may be read between day and month, and between month and year."""
    is_day_first: bool
    """Whether the day is before the month in 3/4/2026."""
    currencies: dict[str, tuple[str, str]]
    """Readings of the currency after 1 and after other numbers, by its sign or code."""
    hundredths: dict[str, tuple[str, str]]
    """Readings of a hundredth of a currency after 1 and after other numbers, by the sign or code of the currency. The
    empty key is for all other currencies."""
    money_link: str
    """What may be read between units and hundredths."""
    units: dict[str, tuple[str, str]]
    """Readings of a unit after 1 and after other numbers, by its abbreviation."""
    percent: str
    """Readings of "%"."""
    minus: str
    """Readings of a minus sign."""
    plus: str
    """Reading of a "+" before a number or a telephone number."""
    hour_words: tuple[str, str]
    """What may be read after the hour, for hour 1 and for other hours."""
    minute_words: str
    """What may be read after the minutes; empty if nothing may."""
    half_past: str
    """How half past an hour is read, with "{hour}" or "{next}" for the hours; empty if the language has no such
    reading."""
    quarter_past: str
    """How a quarter past an hour is read, with "{hour}" or "{next}" for the hours."""
    quarter_to: str
    """How a quarter before the next hour is read, with "{next}"."""
    minutes_past: str
    """How minutes past an hour are read, with "{minutes}" and "{hour}"."""
    minutes_to: str
    """How minutes before the next hour are read, with "{minutes}" and "{next}"."""
    morning: str
    """Readings of "a.m."."""
    afternoon: str
    """Readings of "p.m."."""
    scales: dict[str, str]
    """Readings of what multiplies a number, such as "k" or "mio", by the letters after the number in lower case."""
    range_word: str
    """What is read between the ends of a range."""
    signs: dict[str, str]
    """Readings of signs that stand alone, such as "&", by the sign."""


def _build_units(*lines: str) -> dict[str, tuple[str, str]]:
    """Return readings of units or currencies by abbreviation, from lines such as "km=kilometer/kilometers"."""
    units = {}
    for line in lines:
        names, _, words = line.partition("=")
        one, _, many = words.partition("/")
        for name in names.split(","):
            units[name] = (one, many or one)
    return units


def _split_month_names(text: str) -> tuple[str, ...]:
    """Return the names of months in `text`, which spaces separate."""
    return tuple(text.split())


_ENGLISH = LanguageWords(
    decimal_sign=".",
    decimal_sign_words="point",
    months=_split_month_names("January February March April May June July August September October November December"),
    first_day="",
    date_link="",
    is_day_first=False,
    currencies=_build_units(
        "$,USD,US$=dollar|US dollar|U S dollar/dollars|US dollars|U S dollars",
        "€,EUR=euro/euros|euro",
        "£,GBP=pound/pounds|pounds sterling",
        "¥,JPY=yen",
        "₹,INR=rupee/rupees",
        "CHF=Swiss franc|franc/Swiss francs|francs",
    ),
    hundredths=_build_units("£,GBP=penny|p/pence|p", "₹,INR=paisa/paise", "=cent/cents"),
    money_link="and",
    units=_build_units(
        "mg=milligram/milligrams|milligram",
        "g=gram/grams",
        "kg=kilogram|kilo/kilograms|kilos",
        "lb,lbs=pound/pounds",
        "oz=ounce/ounces",
        "ml,mL=milliliter|millilitre/milliliters|millilitres",
        "l,L=liter|litre/liters|litres",
        "mm=millimeter|millimetre/millimeters|millimetres",
        "cm=centimeter|centimetre/centimeters|centimetres",
        "m=meter|metre/meters|metres",
        "km=kilometer|kilometre/kilometers|kilometres",
        "km/h,kph=kilometer per hour|kilometre per hour/kilometers per hour|kilometres per hour|kilometers an hour",
        "mph=mile per hour/miles per hour|miles an hour",
        "mi=mile/miles",
        "ft=foot/feet|foot",
        "in=inch/inches",
        "m2=square meter|square metre/square meters|square metres",
        "°C=degree Celsius/degrees Celsius|degrees",
        "°F=degree Fahrenheit/degrees Fahrenheit|degrees",
        "°=degree/degrees",
        "Hz=hertz",
        "kHz=kilohertz",
        "MHz=megahertz",
        "GHz=gigahertz",
        "kW=kilowatt/kilowatts",
        "kWh=kilowatt hour/kilowatt hours",
        "W=watt/watts",
        "V=volt/volts",
        "KB,kB=kilobyte/kilobytes",
        "MB=megabyte/megabytes|megs",
        "GB=gigabyte/gigabytes|gigs",
        "TB=terabyte/terabytes",
        "Mbps=megabit per second/megabits per second",
        "ms=millisecond/milliseconds",
        "s,sec=second/seconds",
        "min=minute/minutes",
        "h,hr,hrs=hour/hours",
    ),
    percent="percent",
    minus="minus|negative",
    plus="plus",
    hour_words=("o'clock", "o'clock"),
    minute_words="",
    half_past="half past {hour}",
    quarter_past="(a) quarter past {hour}|(a) quarter after {hour}",
    quarter_to="(a) quarter to {next}|(a) quarter of {next}",
    minutes_past="{minutes} (minutes) past {hour}|{minutes} (minutes) after {hour}",
    minutes_to="{minutes} (minutes) to {next}",
    morning="am|a m|in the morning",
    afternoon="pm|p m|in the afternoon|in the evening|at night",
    scales={"k": "thousand|k", "m": "million", "mn": "million", "b": "billion", "bn": "billion"},
    range_word="to|through|until",
    signs={"&": "and", "@": "at", "#": "number|hash|pound", "+": "plus", "=": "equals|is", "×": "times|by"},
)

_GERMAN = LanguageWords(
    decimal_sign=",",
    decimal_sign_words="Komma",
    months=_split_month_names(
        "Januar|Jänner Februar|Feber März April Mai Juni|Juno Juli|Julei August September Oktober November Dezember"
    ),
    first_day="",
    date_link="",
    is_day_first=True,
    currencies=_build_units(
        "€,EUR=Euro",
        "$,USD,US$=Dollar|US Dollar",
        "£,GBP=Pfund",
        "¥,JPY=Yen",
        "CHF=Franken|Schweizer Franken",
    ),
    hundredths=_build_units("£,GBP=Penny/Pence", "CHF=Rappen", "=Cent"),
    money_link="und",
    units=_build_units(
        "mg=Milligramm",
        "g=Gramm",
        "kg=Kilogramm|Kilo",
        "t=Tonne/Tonnen",
        "ml=Milliliter",
        "l,L=Liter",
        "mm=Millimeter",
        "cm=Zentimeter",
        "m=Meter",
        "km=Kilometer",
        "km/h=Kilometer pro Stunde|Stundenkilometer|Kilometer in der Stunde",
        "m2=Quadratmeter",
        "°C=Grad Celsius|Grad",
        "°=Grad",
        "Hz=Hertz",
        "kHz=Kilohertz",
        "MHz=Megahertz",
        "GHz=Gigahertz",
        "kW=Kilowatt",
        "kWh=Kilowattstunde/Kilowattstunden",
        "W=Watt",
        "V=Volt",
        "MB=Megabyte",
        "GB=Gigabyte",
        "ms=Millisekunde/Millisekunden",
        "s,Sek=Sekunde/Sekunden",
        "min,Min=Minute/Minuten",
        "h,Std=Stunde/Stunden",
    ),
    percent="Prozent",
    minus="minus",
    plus="plus",
    hour_words=("Uhr", "Uhr"),
    minute_words="",
    half_past="halb {next}",
    quarter_past="Viertel nach {hour}|viertel {next}",
    quarter_to="Viertel vor {next}|drei viertel {next}|dreiviertel {next}",
    minutes_past="{minutes} (Minuten) nach {hour}",
    minutes_to="{minutes} (Minuten) vor {next}",
    morning="am|a m|vormittags|morgens",
    afternoon="pm|p m|nachmittags|abends",
    scales={"mio": "Millionen", "mrd": "Milliarden", "tsd": "tausend"},
    range_word="bis",
    signs={"&": "und", "@": "at|ät", "#": "Nummer|Raute", "+": "plus", "=": "gleich|ist", "×": "mal", "§": "Paragraf"},
)

_SPANISH = LanguageWords(
    decimal_sign=",",
    decimal_sign_words="coma|punto",
    months=_split_month_names(
        "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre"
    ),
    first_day="primero",
    date_link="de|del",
    is_day_first=True,
    currencies=_build_units(
        "€,EUR=euro/euros",
        "$,USD,US$=dólar|peso/dólares|pesos",
        "£,GBP=libra/libras",
        "¥,JPY=yen/yenes",
        "CHF=franco/francos|francos suizos",
    ),
    hundredths=_build_units("£,GBP=penique/peniques", "=céntimo|centavo/céntimos|centavos"),
    money_link="con|y",
    units=_build_units(
        "mg=miligramo/miligramos",
        "g=gramo/gramos",
        "kg=kilogramo|kilo/kilogramos|kilos",
        "ml=mililitro/mililitros",
        "l,L=litro/litros",
        "mm=milímetro/milímetros",
        "cm=centímetro/centímetros",
        "m=metro/metros",
        "km=kilómetro/kilómetros",
        "km/h=kilómetro por hora/kilómetros por hora",
        "m2=metro cuadrado/metros cuadrados",
        "°C=grado Celsius|grado/grados Celsius|grados centígrados|grados",
        "°=grado/grados",
        "Hz=hercio/hercios",
        "kW=kilovatio/kilovatios",
        "kWh=kilovatio hora/kilovatios hora",
        "MB=megabyte/megabytes",
        "GB=gigabyte/gigabytes",
        "s=segundo/segundos",
        "min=minuto/minutos",
        "h=hora/horas",
    ),
    percent="por ciento",
    minus="menos",
    plus="más",
    hour_words=("hora|en punto", "horas|en punto"),
    minute_words="minutos",
    half_past="{hour} y media",
    quarter_past="{hour} y cuarto",
    quarter_to="{next} menos cuarto",
    minutes_past="{hour} y {minutes} (minutos)",
    minutes_to="{next} menos {minutes}",
    morning="am|a m|de la mañana",
    afternoon="pm|p m|de la tarde|de la noche",
    scales={"k": "mil"},
    range_word="a|hasta",
    signs={"&": "y", "@": "arroba", "#": "número|almohadilla", "+": "más", "=": "igual a|es", "×": "por"},
)

_FRENCH = LanguageWords(
    decimal_sign=",",
    decimal_sign_words="virgule",
    months=_split_month_names("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    first_day="premier",
    date_link="",
    is_day_first=True,
    currencies=_build_units(
        "€,EUR=euro/euros",
        "$,USD,US$=dollar/dollars",
        "£,GBP=livre/livres|livres sterling",
        "¥,JPY=yen/yens",
        "CHF=franc|franc suisse/francs|francs suisses",
    ),
    hundredths=_build_units("£,GBP=penny/pence", "=centime|cent/centimes|cents"),
    money_link="et",
    units=_build_units(
        "mg=milligramme/milligrammes",
        "g=gramme/grammes",
        "kg=kilogramme|kilo/kilogrammes|kilos",
        "ml=millilitre/millilitres",
        "l,L=litre/litres",
        "mm=millimètre/millimètres",
        "cm=centimètre/centimètres",
        "m=mètre/mètres",
        "km=kilomètre/kilomètres",
        "km/h=kilomètre heure|kilomètre à l'heure/kilomètres heure|kilomètres à l'heure|kilomètres par heure",
        "m2=mètre carré/mètres carrés",
        "°C=degré Celsius|degré/degrés Celsius|degrés",
        "°=degré/degrés",
        "Hz=hertz",
        "kW=kilowatt/kilowatts",
        "kWh=kilowattheure|kilowatt heure/kilowattheures|kilowatts heure",
        "Mo=mégaoctet/mégaoctets",
        "Go=gigaoctet/gigaoctets",
        "s=seconde/secondes",
        "min=minute/minutes",
        "h=heure/heures",
    ),
    percent="pour cent|pourcent",
    minus="moins",
    plus="plus",
    hour_words=("heure", "heures"),
    minute_words="minutes",
    half_past="{hour} heures et demie|{hour} heure et demie",
    quarter_past="{hour} heures et quart|{hour} heure et quart",
    quarter_to="{next} heures moins le quart|{next} heure moins le quart",
    minutes_past="",
    minutes_to="{next} heures moins {minutes}|{next} heure moins {minutes}",
    morning="am|a m|du matin",
    afternoon="pm|p m|de l'après-midi|du soir",
    scales={"k": "mille"},
    range_word="à",
    signs={"&": "et", "@": "arobase", "#": "numéro|dièse", "+": "plus", "=": "égale|égal", "×": "fois"},
)

_ITALIAN = LanguageWords(
    decimal_sign=",",
    decimal_sign_words="virgola",
    months=_split_month_names(
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"
    ),
    first_day="primo",
    date_link="",
    is_day_first=True,
    currencies=_build_units(
        "€,EUR=euro",
        "$,USD,US$=dollaro/dollari",
        "£,GBP=sterlina/sterline",
        "¥,JPY=yen",
        "CHF=franco/franchi|franchi svizzeri",
    ),
    hundredths=_build_units("£,GBP=penny/pence", "=centesimo/centesimi"),
    money_link="e",
    units=_build_units(
        "mg=milligrammo/milligrammi",
        "g=grammo/grammi",
        "kg=chilogrammo|chilo/chilogrammi|chili",
        "ml=millilitro/millilitri",
        "l,L=litro/litri",
        "mm=millimetro/millimetri",
        "cm=centimetro/centimetri",
        "m=metro/metri",
        "km=chilometro/chilometri",
        "km/h=chilometro orario|chilometro all'ora/chilometri orari|chilometri all'ora",
        "m2=metro quadrato|metro quadro/metri quadrati|metri quadri",
        "°C=grado Celsius|grado/gradi Celsius|gradi centigradi|gradi",
        "°=grado/gradi",
        "kW=chilowatt|kilowatt",
        "kWh=chilowattora|kilowattora",
        "MB=megabyte",
        "GB=gigabyte",
        "s=secondo/secondi",
        "min=minuto/minuti",
        "h=ora/ore",
    ),
    percent="percento|per cento",
    minus="meno",
    plus="più",
    hour_words=("in punto", "in punto"),
    minute_words="minuti",
    half_past="{hour} e mezza|{hour} e mezzo",
    quarter_past="{hour} e un quarto",
    quarter_to="{next} meno un quarto",
    minutes_past="{hour} e {minutes}",
    minutes_to="{next} meno {minutes}",
    morning="am|a m|del mattino|di mattina",
    afternoon="pm|p m|del pomeriggio|di sera",
    scales={"mln": "milioni", "mld": "miliardi"},
    range_word="a",
    signs={"&": "e", "@": "chiocciola", "#": "numero|cancelletto", "+": "più", "=": "uguale|è", "×": "per"},
)

_PORTUGUESE = LanguageWords(
    decimal_sign=",",
    decimal_sign_words="vírgula",
    months=_split_month_names(
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"
    ),
    first_day="primeiro",
    date_link="de",
    is_day_first=True,
    currencies=_build_units(
        "R$,BRL=real/reais",
        "€,EUR=euro/euros",
        "$,USD,US$=dólar/dólares",
        "£,GBP=libra/libras",
        "¥,JPY=iene/ienes",
    ),
    hundredths=_build_units("£,GBP=pêni/pence", "€,EUR=cêntimo|centavo/cêntimos|centavos", "=centavo/centavos"),
    money_link="e",
    units=_build_units(
        "mg=miligrama/miligramas",
        "g=grama/gramas",
        "kg=quilograma|quilo/quilogramas|quilos",
        "ml=mililitro/mililitros",
        "l,L=litro/litros",
        "mm=milímetro/milímetros",
        "cm=centímetro/centímetros",
        "m=metro/metros",
        "km=quilômetro|quilómetro/quilômetros|quilómetros",
        "km/h=quilômetro por hora/quilômetros por hora|quilómetros por hora",
        "m2=metro quadrado/metros quadrados",
        "°C=grau Celsius|grau/graus Celsius|graus",
        "°=grau/graus",
        "kW=quilowatt/quilowatts",
        "kWh=quilowatt hora/quilowatts hora",
        "MB=megabyte/megabytes",
        "GB=gigabyte/gigabytes",
        "s=segundo/segundos",
        "min=minuto/minutos",
        "h=hora/horas",
    ),
    percent="por cento|porcento",
    minus="menos",
    plus="mais",
    hour_words=("hora|em ponto", "horas|em ponto"),
    minute_words="minutos",
    half_past="{hour} e meia|{hour} horas e meia",
    quarter_past="{hour} e um quarto|{hour} e quinze",
    quarter_to="um quarto para as {next}|quinze para as {next}",
    minutes_past="{hour} e {minutes} (minutos)|{hour} horas e {minutes} (minutos)",
    minutes_to="{minutes} para as {next}|{next} menos {minutes}",
    morning="am|a m|da manhã",
    afternoon="pm|p m|da tarde|da noite",
    scales={"mi": "milhões", "bi": "bilhões"},
    range_word="a|até",
    signs={"&": "e", "@": "arroba", "#": "número|cerquilha", "+": "mais", "=": "igual a|é", "×": "vezes"},
)

WORDS_BY_LANGUAGE = {
    "en": _ENGLISH,
    "de": _GERMAN,
    "es": _SPANISH,
    "fr": _FRENCH,
    "it": _ITALIAN,
    "pt": _PORTUGUESE,
}
"""The words of each language in which all kinds of entities have readings."""
