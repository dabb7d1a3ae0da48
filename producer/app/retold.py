"""Asking upstream again for the changes that were committed."""

from collections.abc import Iterable

import orjson

from producer import pipeline
from producer.app.parts import Parts
from producer.app.persons import look
from producer.events.convert import Converter
from producer.kafka.names import BESIDE
from producer.proof.report import Chain, Report
from producer.proof.told import Told
from producer.upstream.client import Upstream
from producer.upstream.retrying import Retrying


async def retold(made: Parts, report: Report, chains: Iterable[Chain]) -> Told:
    """chains: of the range. Raises what asking upstream raises; it refuses cursors that are too old."""
    settings, buckets = made.settings, [one for one in chains if one.feed == made.settings.feed.name]
    buckets = [one for one in buckets if one.bucket not in BESIDE]
    listed = (await look(made)).entries if settings.upstream.listing else None
    key = made.hidden.of if made.hidden else str
    began = {one.bucket: one.since for one in buckets}
    steady = {key(code).encode() for code, entry in (listed or {}).items() if entry.since < began.get(entry.bucket, 0)}
    told = Told(report, None if listed is None else steady)
    converter = Converter.configured(settings, made.catalogue, made.framing)
    async with Upstream(settings.upstream) as client:
        asking = Retrying(client, settings.upstream, patience=settings.upstream.patience)
        for one in buckets:
            codes = [code for code, entry in (listed or {}).items() if entry.bucket == one.bucket]
            if listed is not None and not codes:
                continue
            asked = orjson.dumps(codes) if codes else b""
            for first, last in one.ranges:
                cursor, up_to_date = first, False
                while cursor < last and not up_to_date:
                    page = await asking.changes_since(cursor, bucket=one.bucket, listed=asked)
                    cursor, up_to_date = page.cursor, page.up_to_date
                    told.tell((await pipeline.encode(converter, page)).events, due=cursor <= last)
    return told
