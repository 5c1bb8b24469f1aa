"""Long results of tools: objects with many fields, nested objects, records and texts of many lines."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

from demo_model.source import Source
from demo_model.tools import Json

_KEYS = tuple(
    line.split()
    for line in (
        "symbol company_name sector industry market_cap pe_ratio pb_ratio dividend_yield eps beta 52_week_high 52_week_low volume currency exchange previous_close day_high day_low",
        "city country latitude longitude temperature feels_like humidity pressure wind_speed wind_direction visibility sunrise sunset description timezone",
        "id login name email phone age address city zip_code country created_at updated_at last_login is_active is_admin role",
        "order_id customer_id status total tax shipping_cost discount currency item_count tracking_number ordered_at shipped_at delivered_at",
        "path size mode owner group created modified is_dir is_link lines encoding checksum",
        "title author publisher year pages language isbn price rating in_stock publication_date genre",
        "full_name description stars forks open_issues language license default_branch private archived pushed_at",
        "flight origin destination departure arrival gate terminal seat status delay_minutes",
        "cpu_percent memory_total memory_used disk_total disk_used load_1 load_5 load_15 uptime hostname kernel",
    )
)
_COMPANY = (
    "{}, Inc.",
    "{} Inc.",
    "{} Corp.",
    "{} Ltd.",
    "{} & Co.",
    "{} Group",
    "{} AG",
    "{} Holdings, Inc.",
    "{}.com, Inc.",
)
_SHARED = (
    "high low",
    "min max",
    "first last",
    "start end",
    "total used free",
    "width height depth",
    "x y z",
    "old new",
    "a b c",
)


def keys(source: Source, count: int) -> list[str]:
    """Different names of fields: those of a known kind of record, made-up ones, or several that share a part."""
    found: dict[str, None] = {}
    known = source.pick(_KEYS)
    if source.chance(0.5):
        found = dict.fromkeys(source.sample(known, min(count, len(known))))
        if source.chance(0.6):
            found = {key: None for key in known if key in found}
    while len(found) < count:
        if source.chance(0.25):
            word = source.word()
            pair = source.pick(_SHARED).split()
            found |= dict.fromkeys(f"{word}_{part}" if source.chance(0.5) else f"{part}_{word}" for part in pair)
        elif source.chance(0.3):
            found[source.pick(source.pick(_KEYS))] = None
        else:
            found[source.identifier(source.integer(1, 2))] = None
    return list(found)[:count]


def number(source: Source) -> int | float:
    """Numbers as services return them: up to 13 digits, up to six decimals."""
    if source.chance(0.5):
        value = source.integer(0, 10 ** source.integer(1, 13))
        return -value if source.chance(0.04) else value
    return round(
        source.integer(-20, 10 ** source.integer(1, 3)) + source.integer(1, 10**6) / 10**6, source.integer(1, 6)
    )


def field(source: Source) -> object:
    """A value without parts."""
    draw = source.pick(range(20))
    if draw < 8:
        return number(source)
    if draw == 8:
        return source.chance(0.5)
    if draw == 9:
        return None
    if draw == 10:
        return f"20{source.integer(10, 39)}-{source.integer(1, 12):02}-{source.integer(1, 28):02}T{source.integer(0, 23):02}:{source.integer(0, 59):02}:{source.integer(0, 59):02}Z"
    if draw == 11:
        return source.pick(_COMPANY).format(source.name())
    if draw == 12:
        return " ".join(word.capitalize() for word in source.words(source.integer(1, 3)))
    if draw == 13:
        return f"{source.integer(0, 999)}{source.pick(('%', ' km', ' kg', ' ms', '°C', ' MB', '.0.1', ' USD'))}"
    return source.text()


def wide(source: Source) -> dict[str, object]:
    """An object of 5 to 18 plain fields."""
    return {key: field(source) for key in keys(source, source.integer(5, 14) if source.chance(0.85) else 18)}


def records(source: Source) -> list[object]:
    """A few objects with the same fields."""
    names = keys(source, source.integer(2, 4))
    return [{name: field(source) for name in names} for _ in range(source.integer(1, 6))]


def nested(source: Source) -> dict[str, object]:
    """An object that holds lists, objects or records beside plain fields."""
    names = keys(source, source.integer(2, 7))
    content = {name: field(source) for name in names}
    for name in source.sample(names, source.integer(1, min(2, len(names)))):
        content[name] = source.pick((_words, _small, records))(source)
    return content


def _words(source: Source) -> object:
    return source.words(source.integer(1, 5))


def _small(source: Source) -> object:
    return {key: field(source) for key in keys(source, source.integer(1, 5))}


def text(source: Source) -> str:
    """A text of many lines or one long paragraph."""
    if source.chance(0.3):
        return " ".join(source.sentence(source.integer(4, 14)) for _ in range(source.integer(3, 8)))
    return "\n".join(
        source.sentence() if source.chance(0.5) else f"{source.pick(('', '- ', '# '))}{source.text()}" for _ in range(source.integer(6, 22))
    ).strip()  # fmt: skip


def returned(source: Source, names: list[str]) -> str:
    """What a docstring says of a result with these fields, the way the model card documents its example."""
    listed = "\n".join(f"                - '{name}': {source.sentence(source.integer(2, 6))}" for name in names)
    return f"dict: A dictionary containing {source.word()} data.\n            Keys:\n{listed}"


def with_return(source: Source, tool: Json) -> Json:
    """The tool with what it returns beside it, as functions with type hints have it; often without."""
    if "return" in tool or source.chance(0.75):
        return tool
    returns: Json = {"type": source.pick(("string", "object", "object", "number", "integer", "boolean"))}
    if source.chance(0.5):
        several = keys(source, source.integer(1, 6))
        returns["description"] = source.sentence() if source.chance(0.6) else returned(source, several)
    return tool | {"return": returns}
