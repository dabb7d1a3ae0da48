"""What a status or a broken connection means: wait and ask again, or stop with a hint.

Errors are made here and raised by the caller outside its `except`: aiohttp's own carry the request with its
credentials, and must not live on as somebody's `__context__`.
"""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from producer import credentials, http
from producer.errors import MalformedPage, ProducerError, UpstreamRefused, UpstreamUnavailable

HINTS: Final = {
    400: "Upstream found the request wrong. Is the cursor from this VTJ and not older than two weeks, does the permit "
    "select persons (else VTJ_UPSTREAM__PERSONS_FILE), is the list too long?",
    401: "Check VTJ_UPSTREAM__USERNAME and VTJ_UPSTREAM__PASSWORD; behind a gateway also VTJ_UPSTREAM__AUTH_HEADER.",
    403: "The account has no permit for this, or a gateway wants its own key (VTJ_UPSTREAM__HEADERS).",
    404: "Check VTJ_UPSTREAM__URL (the part before /api/v1), and VTJ_UPSTREAM__START if it is a date.",
    413: "The list of persons is too long for upstream or a gateway: follow fewer in one feed.",
}
REDIRECT: Final = (
    "Redirects are not followed: they would carry the account along. If the new address is right, it belongs in "
    "VTJ_UPSTREAM__URL."
)
OTHER: Final = "Asking again would not help. Does VTJ_UPSTREAM__URL lead to VTJ-muutosrajapinta?"
# Request Timeout, Too Early, Too Many Requests: what is temporary among 4xx.
TEMPORARY: Final = {408, 425, 429}
TLS: Final = "TLS"  # what we refuse of the server
ALERT: Final = "TLS alert"  # what it refuses of us
LONGEST_RETRY_AFTER: Final = 3600.0  # a wrong date must not silence a feed for days


def from_status(status: int, headers: Mapping[str, str], call: str) -> ProducerError:
    """status: any but 200. call: which request it was, for people."""
    error: ProducerError
    if status in TEMPORARY or status >= 500:
        error = UpstreamUnavailable(f"Upstream answered {status} to {call}.", retry_after=retry_after(headers))
    elif status < 300:
        error = MalformedPage(f"Upstream answered {status} to {call}, where only 200 has an answer.", hint=OTHER)
    else:
        hint = REDIRECT if status < 400 else HINTS.get(status, OTHER)
        error = UpstreamRefused(f"Upstream answered {status} to {call}.", hint=hint)
    error.fault = str(status)
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After`, in both its forms (RFC 9110, 10.2.3), an hour at most; None when it says nothing.

    A date is measured against the answer's own `Date`, so that clocks that differ do no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return min(float(text), LONGEST_RETRY_AFTER)
    until = timestamp(text)
    if until is None:
        return None
    now = timestamp(headers.get("Date", ""))
    return min(max(until - (time.time() if now is None else now), 0.0), LONGEST_RETRY_AFTER)


def timestamp(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None when it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def from_connection(error: BaseException, call: str) -> ProducerError:
    """error: what aiohttp raised. Of its text only what cannot quote content is kept."""
    if refused := credentials.refusal(error, "Upstream", "VTJ_UPSTREAM__"):
        message, hint = refused
        answer = UpstreamRefused(message, hint=hint)
        answer.fault = ALERT if "ALERT" in message else TLS
        return answer
    trouble = http.trouble(error, silence="VTJ_UPSTREAM__IDLE_TIMEOUT", total="VTJ_UPSTREAM__TOTAL_TIMEOUT")
    return UpstreamUnavailable(f"No answer to {call}: {trouble}.")
