"""The consumer group of the instances, from outside."""

import asyncio
import struct

from confluent_kafka.admin import AdminClient

LEAVE_GROUP = 13


async def put_out(bootstrap: str, group: str, pid: int) -> None:
    """Has the coordinator forget a member now, as it would after the session timeout; the member is not told."""
    for member in await asyncio.to_thread(_members, bootstrap, group, pid):
        host, _, port = bootstrap.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            request = struct.pack(">hhi", LEAVE_GROUP, 1, 1) + _text("chaos") + _text(group) + _text(member)
            writer.write(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            *_, error = struct.unpack(">iih", await reader.readexactly(size))
            assert error in (0, 25), f"LeaveGroup: error {error}"  # 25: it is no member any more
        finally:
            writer.close()
            await writer.wait_closed()


def _members(bootstrap: str, group: str, pid: int) -> list[str]:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    described = admin.describe_consumer_groups([group], request_timeout=20)[group].result()
    return [one.member_id for one in described.members if f"-{pid}-" in one.client_id]


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()
