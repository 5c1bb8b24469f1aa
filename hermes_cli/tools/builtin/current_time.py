"""The built-in tool current_time."""

from datetime import datetime
from zoneinfo import ZoneInfo

READ_ONLY = {"current_time"}


def current_time(timezone: str | None = None) -> dict[str, str]:
    """Get the current date, time and weekday.

    Args:
        timezone: An IANA time zone such as Europe/Oslo; left out, the user's own.
    """
    now = datetime.now(_zone(timezone)) if timezone else datetime.now().astimezone()
    return {
        "date": now.strftime("%Y-%m-%d"),
        "time": now.strftime("%H:%M:%S"),
        "weekday": now.strftime("%A"),
        "utc_offset": now.strftime("%z"),
    }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"there is no time zone {name}; use an IANA name such as Europe/Oslo or UTC") from error
