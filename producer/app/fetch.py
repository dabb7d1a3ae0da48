"""`fetch`: a page of upstream, as it came, for somebody to look at."""

import os
from pathlib import Path

import orjson

from producer.app.parts import parts
from producer.app.persons import look
from producer.config import Settings
from producer.errors import MalformedPage, SettingsError
from producer.upstream.answer import parse_page
from producer.upstream.client import Upstream
from producer.upstream.retrying import Retrying


async def fetch(settings: Settings, cursor: int, bucket: str | None, file: Path) -> tuple[int, str]:
    """Returns the size of the page (bytes), and which rule it breaks, if any.

    bucket: whose persons to ask for, where they are listed. Raises SettingsError (no such bucket; the file is there or
    cannot be made), and what asking upstream raises; then no file is left behind.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be made: {error.strerror}.", hint="Name a file that is not there yet; none is overwritten."
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as opened:
            body = await _ask(settings, cursor, bucket)
            opened.write(body)
    except BaseException:
        file.unlink()  # noqa: ASYNC240 - at once
        raise
    try:
        parse_page(body, bucket="", previous=cursor, fetched_at=0)
    except MalformedPage as fault:
        return len(body), str(fault)
    return len(body), ""


async def _ask(settings: Settings, cursor: int, bucket: str | None) -> bytes:
    upstream, listed = settings.upstream, b""
    if upstream.listing:
        entries = (await look(await parts(settings))).entries
        buckets = sorted({one.bucket for one in entries.values()}, key=lambda name: (len(name), name))
        if bucket is None and len(buckets) == 1:
            (bucket,) = buckets
        if bucket not in buckets:
            raise SettingsError(
                f"There is no bucket {bucket}." if bucket else f"The feed has {len(buckets)} buckets of persons.",
                hint=f"Name one with --bucket: {', '.join(buckets)}.",
            )
        listed = orjson.dumps([code for code, entry in entries.items() if entry.bucket == bucket])
    async with Upstream(upstream) as client:
        asking = Retrying(client, upstream, patience=upstream.patience)
        return await asking.again(lambda: client.raw_changes(cursor, listed=listed))
