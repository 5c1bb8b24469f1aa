"""The formats of JSON Schema: a pattern for each, and what a pattern cannot say.

The same patterns are enforced during generation, so that the final check agrees.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import IPv6Address
from typing import Any
from unicodedata import bidirectional

_YEAR = r"[0-9]{4}"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    rf"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_TIME_PARTS = re.compile(r"(\d\d):(\d\d):60(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))\Z")
_ESCAPE, _CLASS = re.compile(r"\\(.)", re.DOTALL), re.compile(r"\[[^\]]*\]")
# What ECMA-262 does not have: these escapes, groups such as (?P<n>) and (?i), and possessive quantifiers.
_NO_ESCAPES = frozenset("aeghijlmoqyzACEFGHIJKLMNOQRTUVXYZ")
_NOT_ECMA = re.compile(r"\(\?(?!:|<?[=!]|<[\w$]|[ims]*-?[ims]*:)|[*+?}]\+")
_CLOCK = r"(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DAYS = r"(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_DURATION = rf"P(?:{_DAYS}(?:T{_CLOCK})?|T{_CLOCK}|[0-9]+W)"

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP = r"[0-9a-fA-F]{1,4}"
_LAST = rf"(?:{_GROUP}:{_GROUP}|{_IPV4})"
_IPV6 = (
    rf"(?:(?:{_GROUP}:){{6}}{_LAST}|::(?:{_GROUP}:){{5}}{_LAST}|(?:{_GROUP})?::(?:{_GROUP}:){{4}}{_LAST}"
    + "".join(
        rf"|(?:(?:{_GROUP}:){{0,{before}}}{_GROUP})?::(?:{_GROUP}:){{{3 - before}}}{_LAST}" for before in (1, 2, 3)
    )
    + rf"|(?:(?:{_GROUP}:){{0,4}}{_GROUP})?::{_LAST}"
    + rf"|(?:(?:{_GROUP}:){{0,5}}{_GROUP})?::{_GROUP}|(?:(?:{_GROUP}:){{0,6}}{_GROUP})?::)"
)
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?"
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM = r"[a-zA-Z0-9!#$%&'*+\-\/=?^_`{|}~]+"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_EMAIL = rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_HOSTNAME}|\[(?:{_IPV4}|IPv6:{_IPV6})\])"
_WIDE = r"\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    rf"\u{{{plane:x}{'1' if plane == 0xE else '0'}000}}-\u{{{plane:x}fffd}}" for plane in range(1, 0xF)
)
_PRIVATE = r"\ue000-\uf8ff\u{f0000}-\u{ffffd}\u{100000}-\u{10fffd}"
_IDN_EMAIL = r"[^@\s\u0000-\u001f]+@[^@\s\u0000-\u001f]+"
_HEX = r"[0-9a-fA-F]"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_POINTER = r"(?:\/(?:[^~\/]|~[01])*)*"
_VARIABLE = r"(?:[a-zA-Z0-9_]|%[0-9a-fA-F]{2})(?:\.?(?:[a-zA-Z0-9_]|%[0-9a-fA-F]{2}))*(?:\*|:[1-9][0-9]{0,3})?"
_TEMPLATE = (
    r"(?:[!#$&-;=?-\[\]_a-z~\u00a0-\u{10fffd}]|%[0-9a-fA-F]{2}"
    rf"|\{{[+#.\/;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"
)


def _resource_patterns(wide: str = "", private: str = "") -> tuple[str, str]:
    """URI and URI reference by RFC 3986; IRI by RFC 3987 with more characters, of which a query may hold `private`."""
    free = rf"a-zA-Z0-9\-._~!$&'\(\)*+,;={wide}"
    character, segment = rf"(?:[{free}:@]|%{_HEX}{{2}})", rf"(?:[{free}@]|%{_HEX}{{2}})"
    host = rf"(?:\[(?:{_IPV6}|[vV]{_HEX}+\.[{free}:]+)\]|(?:[{free}]|%{_HEX}{{2}})*)"
    authority = rf"\/\/(?:(?:[{free}:]|%{_HEX}{{2}})*@)?{host}(?::[0-9]*)?(?:\/{character}*)*"
    absolute = rf"\/(?:{character}+(?:\/{character}*)*)?"
    rest = rf"(?:\?(?:{character}|[\/?{private}])*)?(?:#(?:{character}|[\/?])*)?"
    full = rf"[a-zA-Z][a-zA-Z0-9+\-.]*:(?:{authority}|{absolute}|{character}+(?:\/{character}*)*|){rest}"
    relative = rf"(?:{authority}|{absolute}|{segment}+(?:\/{character}*)*|){rest}"
    return full, rf"(?:{full}|{relative})"


_URI, _URI_REFERENCE = _resource_patterns()
_IRI, _IRI_REFERENCE = _resource_patterns(_WIDE, _PRIVATE)

# Anchored, in the syntax of ECMA-262 with the `u` flag.
PATTERNS: dict[str, str] = {
    name: f"^(?:{pattern})$"
    for name, pattern in {
        "date": _DATE,
        "time": _TIME,
        "date-time": f"{_DATE}[Tt]{_TIME}",
        "duration": _DURATION,
        "email": _EMAIL,
        "idn-email": _IDN_EMAIL,
        "hostname": _HOSTNAME,
        "ipv4": _IPV4,
        "ipv6": _IPV6,
        "uuid": _UUID,
        "uri": _URI,
        "uri-reference": _URI_REFERENCE,
        "iri": _IRI,
        "iri-reference": _IRI_REFERENCE,
        "uri-template": _TEMPLATE,
        "json-pointer": _POINTER,
        "relative-json-pointer": rf"(?:0|[1-9][0-9]*)(?:#|{_POINTER})",
    }.items()
}


def _is_time(text: str) -> bool:
    """A leap second comes at 23:59:60 UTC only."""
    found = _TIME_PARTS.search(text)
    if not found:
        return True
    hour, minute, sign, hours, minutes = found.groups()
    shift = (int(hours) * 60 + int(minutes)) * (1 if sign == "-" else -1) if sign else 0
    return (int(hour) * 60 + int(minute) + shift) % 1440 == 1439


def _is_hostname(text: str) -> bool:
    """At most 253 characters, and labels that look like Punycode are."""
    labels = text.lower().split(".")
    return len(text) <= 253 and all(
        label[2:4] != "--" or (label.startswith("xn--") and _is_idn_label(label)) for label in labels
    )


def _is_idn_hostname(text: str) -> bool:
    labels = re.split("[.\u3002\uff0e\uff61]", text)
    return len(text) <= 253 and all(map(_is_idn_label, labels)) and _is_one_direction(labels)


def _is_one_direction(labels: Sequence[str]) -> bool:
    """Whether all labels follow RFC 5893, as required if any letter is written from right to left."""
    import idna

    letters = [idna.ulabel(label) for label in labels]
    if any(bidirectional(letter) in ("R", "AL", "AN") for letter in "".join(letters)):
        try:
            return all(idna.check_bidi(label, check_ltr=True) for label in letters)
        except idna.IDNAError:
            return False
    return True


def _is_idn_label(label: str) -> bool:
    import idna

    try:
        if label.isascii() and not label.lower().startswith("xn--"):
            return re.fullmatch(_LABEL, label) is not None and label[2:4] != "--"
        idna.alabel(idna.ulabel(label))
    except idna.IDNAError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    IPv6Address(text)
    return True


def _is_regex(text: str) -> bool:
    from hermes_cli.formats.json.patterns import compiled

    compiled(text)
    if not _NO_ESCAPES.isdisjoint(_ESCAPE.findall(text)):
        return False
    return not _NOT_ECMA.search(_CLASS.sub("x", _ESCAPE.sub("x", text)))


_TESTS: dict[str, Callable[[str], bool]] = {
    "time": _is_time,
    "date-time": _is_time,
    "hostname": _is_hostname,
    "idn-hostname": _is_idn_hostname,
    "ipv6": _is_ipv6,
    "regex": _is_regex,
}
FORMATS = frozenset(PATTERNS) | frozenset(_TESTS)


@cache
def format_checker() -> Any:
    """A checker for jsonschema that knows every format of draft 2020-12."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name in FORMATS:
        checker.checks(name, raises=ValueError)(_check(name))
    return checker


def _check(name: str) -> Callable[[object], bool]:
    from hermes_cli.formats.json.patterns import compiled

    pattern = compiled(PATTERNS[name]) if name in PATTERNS else None
    test = _TESTS.get(name)

    def check(value: object) -> bool:
        if not isinstance(value, str):
            return True
        return (pattern is None or pattern.search(value) is not None) and (test is None or test(value))

    return check
