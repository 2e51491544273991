"""When the hub vouches for a running view, and when it must not."""

from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_world import person, run, world

from hub.access.decide import Ask
from hub.access.principal import Principal
from hub.live.session import Terms, ViewerSession
from hub.live.vouching import TICK_S, Vouching


@pytest.mark.long
def test_nobody_is_vouched_for_while_rights_cannot_be_read(sqlite_url: str, tmp_path: Path) -> None:
    """Not at the next tick either, at which rights need not be read: they were never known to hold."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            camera = await hub.admitted()
            renewed: list[str] = []
            readable = True

            async def people(_user_id: str, _login: str) -> Principal | None:
                if not readable:
                    raise OSError("disk I/O error")
                return person()

            def renew(viewer_ids: Collection[str]) -> None:
                renewed.extend(viewer_ids)

            async def finish(session: ViewerSession, code: str) -> None:
                raise AssertionError(f"{session.id} ended: {code}")

            session = ViewerSession(
                id="one",
                camera_id=camera.id,
                ask=Ask(person()),
                kind="live",
                view=SimpleNamespace(),  # type: ignore[arg-type]  not looked at here
                terms=Terms("login"),
                started_s=hub.clock.monotonic(),
                max_s=None,
                audio=False,
            )
            vouching = Vouching(
                {"one": session},
                catalog=hub.catalog,
                incidents=hub.incidents.covering,
                people=people,
                renew=renew,
                finish=finish,
                bus=hub.coordination.bus,
                clock=hub.clock,
            )
            hub.clock.turn(seconds=60)
            await vouching.review([session])
            assert renewed == ["one"]
            readable = False
            hub.clock.turn(seconds=60)
            for _ in range(4):
                with pytest.raises(OSError, match="disk"):
                    await vouching.review([session])
                hub.clock.turn(seconds=TICK_S)
            assert renewed == ["one"]
            readable = True
            await vouching.review([session])
            assert renewed == ["one", "one"]

    run(go())
