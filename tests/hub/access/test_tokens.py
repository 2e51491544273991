"""Tokens by which programs speak in a person's name."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hub_world import ANNA, WARD, World, run, world

from adapters.secret import Secret
from hub.access.accounts import NewUser, User
from hub.access.tokens import MAX_TOKENS
from hub.store.errors import Invalid, ServiceError

NewUrl = Callable[[], str]


async def _user(hub: World, name: str = "binh") -> User:
    new = NewUser(name, "viewer", areas=(WARD,), password=Secret("bốn mùa xuân hạ"))
    user, _ = await hub.accounts.add(new, ANNA)
    return user


def test_tokens_speak_for_their_person(new_url: NewUrl, tmp_path: Path) -> None:
    """Until they are revoked, expire, or the person is disabled; the audit log has each beginning and end."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            user, other = await _user(hub), await _user(hub, "an")
            soon = hub.clock.now() + timedelta(hours=1)
            first, token = await hub.tokens.issue(user.id, " night report ", ANNA)
            second, short = await hub.tokens.issue(user.id, "today", ANNA, expires_at=soon)
            found = await hub.tokens.bearer(token.reveal())
            assert found is not None
            assert found.token_id == first.id
            assert (found.principal.user_id, found.principal.actor().kind) == (user.id, "token")
            assert await hub.tokens.person(second.id) is not None
            hub.clock.turn(hours=1)
            assert await hub.tokens.bearer(short.reveal()) is None
            assert await hub.tokens.person(second.id) is None
            with pytest.raises(ServiceError, match="no such token"):
                await hub.tokens.revoke(other.id, first.id, ANNA)
            ended = await hub.tokens.revoke(user.id, first.id, ANNA)
            assert await hub.tokens.revoke(user.id, first.id, ANNA) == ended
            assert await hub.tokens.bearer(token.reveal()) is None
            listed = [(one.label, one.state(hub.clock.now())) for one in await hub.tokens.of(user.id)]
            assert sorted(listed) == [("night report", "revoked"), ("today", "expired")]
            third, last = await hub.tokens.issue(user.id, "x", ANNA)
            await hub.accounts.change(user.id, ANNA, disabled=True)
            assert await hub.tokens.bearer(last.reveal()) is None
            assert await hub.tokens.person(third.id) is None
            for noise in ("", "camhub_", "camhub_" + "x" * 500, token.reveal() + "x"):
                assert await hub.tokens.bearer(noise) is None
            written = [one.kind for one in (await hub.audit.page(limit=50)).items]
            assert (written.count("token.created"), written.count("token.revoked")) == (3, 1)

    run(go())


def test_what_cannot_be_made_is_refused_by_name(sqlite_url: str, tmp_path: Path) -> None:
    """A label that says nothing, a time that is over, and more valid tokens than one person needs."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            user = await _user(hub)
            for label in ("", "   ", "x" * 101, "a\nb"):
                with pytest.raises(Invalid) as wrong:
                    await hub.tokens.issue(user.id, label, ANNA)
                assert wrong.value.field == "label"
            with pytest.raises(Invalid) as late:
                await hub.tokens.issue(user.id, "x", ANNA, expires_at=hub.clock.now())
            assert late.value.field == "expires_at"
            soon = hub.clock.now() + timedelta(hours=1)
            for number in range(MAX_TOKENS):
                await hub.tokens.issue(user.id, f"program {number}", ANNA, expires_at=soon)
            with pytest.raises(ServiceError, match="revoke one first"):
                await hub.tokens.issue(user.id, "one more", ANNA)
            hub.clock.turn(hours=1)
            await hub.tokens.issue(user.id, "one more", ANNA)  # those that have expired do not count

    run(go())
