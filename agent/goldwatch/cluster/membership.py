"""This replica's part in the cluster, from start to stop: connection, identity, lease and fence together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Callable

from goldwatch.cluster.api import Api
from goldwatch.cluster.elector import Elector
from goldwatch.config import Lease
from goldwatch.ipc.fence import Fence


class Membership:
    """One of several replicas; only the holder of a lease replays."""

    def __init__(
        self,
        lease: Lease,
        on_lead: Callable[[bool], None],
        on_lost: Callable[[], None] = lambda: None,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        """Make it from the pod's own identity; the calls are those of Elector. Raises NotInCluster."""
        self._api = Api.in_cluster()
        self._fence = Fence.create()
        # As client-go's users do: two processes of one pod, or of one host, are not the same.
        identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}"
        self._elector = Elector(
            api=self._api,
            lease=lease,
            identity=identity,
            fence=self._fence,
            on_lead=on_lead,
            on_lost=on_lost,
            on_error=on_error,
        )
        self._running: asyncio.Task[None] | None = None

    def may_replay(self) -> bool:
        """Say whether this replica may replay now. Any thread may ask, at any rate."""
        return self._elector.may_replay()

    async def start(self) -> None:
        """Begin to try for the lease."""
        await self._api.__aenter__()
        self._running = asyncio.create_task(self._elector.run())

    async def stop(self) -> None:
        """Give the lease up and disconnect; call when no replay is running."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            await self._elector.release()
        await self._api.__aexit__(None, None, None)
        self._fence.remove()
