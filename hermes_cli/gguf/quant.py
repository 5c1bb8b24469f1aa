"""Quants in names: every way in which files on the hub are tagged with the type of their weights."""

import re

_SIZE = r"K|NL|XXS|XXL|XS|XL|KT|KSS|KS|KL|KV|[SMLX]|R\d+|G\d+|\d+"
_TAG = rf"I?Q\d{{1,2}}(?:_(?:{_SIZE}))*|TQ[12]_0|MXFP\d(?:_MOE)?|NVFP4|B?FP?16|FP?32|FP8"
_QUANT = rf"(?i)[./:_-](?P<quant>(?:UD-)?(?:{_TAG}))(?![A-Za-z0-9])"  # compiled by its first use
_AFTER = re.compile(r"[._-](?:i1|imat|imatrix|imx)(?=$|[._-])", re.IGNORECASE)
_PREFERRED = ("Q4_K_M", "UD-Q4_K_XL", "Q5_K_M", "Q6_K", "Q8_0", "Q4_K_S", "Q4_0", "IQ4_XS", "MXFP4")


def quant_of(name: str) -> str | None:
    """The last quant in a name, in capitals: `Q4_K_M`, `UD-Q4_K_XL`, `IQ2_XXS`, `MXFP4`."""
    found = list(re.finditer(_QUANT, name))
    return normal_quant(found[-1]["quant"]) if found else None


def normal_quant(text: str) -> str:
    """A quant as it is compared, however it was typed: `i1-q4_k_m` and `Q4_K_M-imat` are `Q4_K_M`."""
    plain = _AFTER.sub("", f"-{text}-").strip("-").upper()
    return {"FP16": "F16", "BFP16": "BF16", "FP32": "F32"}.get(plain, plain)


def without_quant(name: str) -> str:
    """A name up to its last quant, without the marks of an importance matrix."""
    found = list(re.finditer(_QUANT, name))
    return _AFTER.sub("", name[: found[-1].start()] if found else name)


def preference(quant: str | None) -> int:
    """The rank of a quant; if none is requested, the lowest rank is chosen."""
    return _PREFERRED.index(quant) if quant in _PREFERRED else len(_PREFERRED)


def choose_quant(wanted: str, present: list[str]) -> str | None:
    """The quant that is meant by what a user typed: that one, or the only dynamic (`UD-`) one of that name."""
    normal = normal_quant(wanted)
    if normal in present:
        return normal
    dynamic = f"UD-{normal}"
    return dynamic if dynamic in present else None
