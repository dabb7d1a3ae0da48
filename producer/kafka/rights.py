"""What this account may do at Kafka, and what time it is there: asked, never tried.

Nothing is written, no group is joined, and no transactional id that is in use is touched. aiokafka knows these requests
in older versions only, which do not tell.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTransactionTimeout,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

from producer.kafka.clients import Admin

GROUP, TRANSACTION = 0, 1  # kinds of coordinators


class Right(IntEnum):
    """Operations of ACLs, by Kafka's own numbers, which are the places of their bits too."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    def __str__(self) -> str:
        return self.name.title().replace("_C", "C")


ALL: Final = frozenset(Right)


def _rights(bits: int) -> frozenset[Right]:
    """Of a broker that does not say: all."""
    return ALL if bits < 0 else frozenset(one for one in Right if bits >> one & 1)


_TEXT: Final = String("utf-8")
_COMPACT: Final = CompactString("utf-8")


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka is untyped, here and below
    API_KEY, API_VERSION = 3, 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("name", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("rights", Int32),
            ),
        ),
        ("cluster_rights", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, RESPONSE_TYPE = 3, 8, _MetadataResponse
    SCHEMA = Schema(("topics", Array(_TEXT)), ("create", Boolean), ("cluster_rights", Boolean), ("rights", Boolean))


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = list(topics)

    def build(self, struct: Any) -> Any:
        return struct(self._topics, False, False, True)


class _GroupsStruct(DescribeGroupsRequest_v3):  # type: ignore[misc]
    RESPONSE_TYPE = DescribeGroupsResponse_v3  # aiokafka's own leaves the rights unread


class _Groups(Request[_GroupsStruct]):  # type: ignore[misc]
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, struct: Any) -> Any:
        return struct([self._group], True)


_REPLICA: Final = (
    ("id", Int32),
    ("end", Int64),
    ("fetched_at", Int64),
    ("caught_up_at", Int64),
    ("tags", TaggedFields),
)


class _QuorumResponse(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 55, 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("name", _COMPACT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", CompactArray(*_REPLICA)),
                        ("observers", CompactArray(*_REPLICA)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _QuorumStruct(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, RESPONSE_TYPE, FLEXIBLE_VERSION = 55, 1, _QuorumResponse, True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", _COMPACT),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Quorum(Request[_QuorumStruct]):  # type: ignore[misc]
    API_KEY = 55

    def build(self, struct: Any) -> Any:
        return struct([("__cluster_metadata", [(0, {})], {})], {})


async def of_topics(admin: Admin, topics: Iterable[str]) -> dict[str, frozenset[Right] | None]:
    """None: not there, as far as the account may know. Empty: it may not even know."""
    answer = await admin._send_request(_Metadata(topics))
    found: dict[str, frozenset[Right] | None] = {}
    for code, name, _, _, bits in answer.topics:
        if code in (TopicAuthorizationFailedError.errno, UnknownTopicOrPartitionError.errno):
            found[name] = frozenset() if code == TopicAuthorizationFailedError.errno else None
        else:
            found[name] = _rights(bits)
    return found


async def in_sync(admin: Admin, topic: str) -> int | None:
    """The replicas in sync of the partition that has the fewest; None: the topic is not there, or not for us to see."""
    ((code, _, _, partitions, _),) = (await admin._send_request(_Metadata([topic]))).topics
    return None if code else min(len(in_sync) for *_, in_sync, _ in partitions)


async def of_group(admin: Admin, group: str) -> frozenset[Right]:
    try:
        answer = await admin._send_request(_Groups(group), await admin.find_coordinator(group, GROUP))
    except GroupAuthorizationFailedError:
        return frozenset()
    ((code, *_, bits),) = answer.groups
    if code == GroupAuthorizationFailedError.errno:
        return frozenset()
    if code:
        raise for_code(code)
    return _rights(bits)


async def refused_ids(admin: Admin, unused: str, ids: Sequence[str]) -> list[str]:
    """Those of the transactional ids that this account may not write with; the unused one first, if it is refused.

    Asked for with a timeout that no broker grants: it looks at the right first, and refuses before it knows the id. One
    that grants it to the unused id, as no Apache Kafka does, is not asked about the others: it would fence them.
    """
    refused = []
    for one in (unused, *ids):
        code = (await admin._send_request(InitProducerIdRequest(one, 0))).error_code
        if code == TransactionalIdAuthorizationFailed.errno:
            refused.append(one)
        if code != InvalidTransactionTimeout.errno and one == unused:
            break
    return refused


async def clock(admin: Admin) -> float | None:
    """Seconds since 1970 at the leader of the controllers; None when the account may not ask (Describe, Cluster)."""
    try:
        answer = await admin._send_request(_Quorum())
    except NotImplementedError:  # a broker without KRaft
        return None
    if answer.error_code == ClusterAuthorizationFailedError.errno:
        return None
    if answer.error_code:
        raise for_code(answer.error_code)
    ((_, ((_, code, leader, _, _, voters, *_),), _),) = answer.topics
    if code:
        raise for_code(code)
    return next((at / 1000 for number, _, _, at, _ in voters if number == leader and at > 0), None)
