"""People: the first administrator, signing in, being locked out, sessions, tokens."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hub_world import ANNA, OTHER_WARD, PROVINCE, WARD, World, run, world

from adapters.secret import Secret
from hub.access.accounts import ABSOLUTE, IDLE, NewUser
from hub.access.passwords import Passwords, check_new, one_time
from hub.access.rights import rights_of
from hub.catalog.types import Kind, NewCustodian
from hub.store.errors import Invalid, ServiceError

NewUrl = Callable[[], str]
GOOD = Secret("bốn mùa xuân hạ")


async def _user(hub: World, name: str = "binh", role: str = "viewer", **more: object):  # type: ignore[no-untyped-def]
    values: dict[str, object] = {"areas": (WARD,), "password": GOOD, **more}
    user, _ = await hub.accounts.add(NewUser(name, role, **values), ANNA)  # type: ignore[arg-type]
    return user


def test_the_first_administrator_has_a_one_time_password(new_url: NewUrl, tmp_path: Path) -> None:
    """It signs in once, has no rights until the password is changed, and there is no second first one."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            made = await hub.accounts.ensure_administrator()
            assert made is not None
            user, password = made
            assert await hub.accounts.ensure_administrator() is None
            signed_in = await hub.accounts.login("Admin", password, "10.0.0.1")
            assert signed_in.session.principal.must_change_password
            assert rights_of(signed_in.session.principal) == ()
            await hub.accounts.change_password(user.id, password, GOOD, keep_session=signed_in.session.id)
            session = await hub.accounts.session(signed_in.token.reveal())
            assert session is not None
            assert "users.write" in rights_of(session.principal)
            with pytest.raises(ServiceError):
                await hub.accounts.login("admin", password, "10.0.0.1")
            await hub.accounts.login("admin", GOOD, "10.0.0.1")

    run(go())


def test_wrong_and_unknown_answer_the_same(new_url: NewUrl, tmp_path: Path) -> None:
    """A wrong password, an unknown name and a disabled account cannot be told apart; the log holds no typed name."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            await _user(hub)
            gone = await _user(hub, "gone")
            await hub.accounts.change(gone.id, ANNA, disabled=True)
            told = []
            for name, password in (("binh", Secret("wrong")), ("hunter2", GOOD), ("gone", GOOD)):
                with pytest.raises(ServiceError) as error:
                    await hub.accounts.login(name, password, "10.0.0.1")
                told.append((error.value.code, error.value.detail, error.value.params))
            assert told[0] == told[1] == told[2] == ("login_failed", told[0][1], {"tries_left": 4})
            for record in (await hub.audit.page(kind="login.")).items:
                assert "hunter2" not in str(record)

    run(go())


def test_five_wrong_tries_lock_the_name_for_five_minutes(new_url: NewUrl, tmp_path: Path) -> None:
    """The fifth failure locks for five minutes from then, also for the right password; a success counts anew."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            await _user(hub)

            async def fail() -> int:
                with pytest.raises(ServiceError) as error:
                    await hub.accounts.login("binh", Secret("wrong"), "10.0.0.1")
                assert error.value.code == "login_failed"
                return int(error.value.params["tries_left"])

            assert [await fail() for _ in range(4)] == [4, 3, 2, 1]
            await hub.accounts.login("binh", GOOD, "10.0.0.1")
            assert await fail() == 4
            hub.clock.turn(seconds=200)
            assert [await fail() for _ in range(4)] == [3, 2, 1, 0]
            hub.clock.turn(seconds=299)
            with pytest.raises(ServiceError) as locked:
                await hub.accounts.login("binh", GOOD, "10.0.0.2")
            assert locked.value.code == "login_locked"
            assert locked.value.params["until"] == hub.clock.now() + timedelta(seconds=1)
            hub.clock.turn(seconds=2)
            await hub.accounts.login("binh", GOOD, "10.0.0.2")
            assert (await hub.audit.page(kind="login.locked")).total == 1

    run(go())


def test_an_address_that_tries_many_names_is_locked(sqlite_url: str, tmp_path: Path) -> None:
    """Twenty failures from one address lock the address, whatever names it tried; others still sign in."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            await _user(hub)
            for number in range(20):
                with pytest.raises(ServiceError):
                    await hub.accounts.login(f"name{number}", Secret("wrong"), "10.0.0.9")
            with pytest.raises(ServiceError) as locked:
                await hub.accounts.login("binh", GOOD, "10.0.0.9")
            assert locked.value.code == "login_locked"
            await hub.accounts.login("binh", GOOD, "10.0.0.1")

    run(go())


def test_a_session_ends_idle_in_all_or_at_logout(new_url: NewUrl, tmp_path: Path) -> None:
    """Twelve hours without a request, seven days in all, or logging out end it."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            await _user(hub)

            async def sign_in() -> str:
                return (await hub.accounts.login("binh", GOOD, "10.0.0.1")).token.reveal()

            idle, busy, out = await sign_in(), await sign_in(), await sign_in()
            session = await hub.accounts.session(out)
            assert session is not None
            assert await hub.accounts.session_lives(session.id)
            await hub.accounts.logout(session)
            assert await hub.accounts.session(out) is None
            assert not await hub.accounts.session_lives(session.id)
            started = hub.clock.now()
            while hub.clock.now() < started + ABSOLUTE - timedelta(hours=11):
                assert await hub.accounts.session(busy) is not None
                hub.clock.turn(hours=11)
            assert await hub.accounts.session(idle) is None
            assert await hub.accounts.session(busy) is not None
            hub.clock.turn(hours=11)
            assert await hub.accounts.session(busy) is None
            assert await hub.accounts.session("") is None
            assert await hub.accounts.session("\ud800") is None
            assert await hub.accounts.forget_ended_sessions() == 2
            assert timedelta(hours=12) == IDLE

    run(go())


def test_a_csrf_token_belongs_to_its_session(sqlite_url: str, tmp_path: Path) -> None:
    """The token of one sign-in does not fit another."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            await _user(hub)
            one, two = [await hub.accounts.login("binh", GOOD, "10.0.0.1") for _ in range(2)]
            assert one.session.csrf_fits(one.csrf.reveal())
            assert not one.session.csrf_fits(two.csrf.reveal())
            assert not one.session.csrf_fits("")

    run(go())


def test_secrets_are_stored_as_hashes(sqlite_url: str, tmp_path: Path) -> None:
    """Neither password, session, CSRF token nor bearer token is in the database file."""

    async def go() -> list[str]:
        async with world(sqlite_url, tmp_path) as hub:
            user = await _user(hub)
            signed_in = await hub.accounts.login("binh", GOOD, "10.0.0.1")
            _, token = await hub.tokens.issue(user.id, "script", ANNA)
            return [GOOD.reveal(), signed_in.token.reveal(), signed_in.csrf.reveal(), token.reveal()]

    secrets = run(go())
    for path in tmp_path.glob("*.db*"):
        for secret in secrets:
            assert secret.encode() not in path.read_bytes()


def test_a_password_change_ends_the_other_sessions(sqlite_url: str, tmp_path: Path) -> None:
    """Whoever else was signed in is not any more; the wrong present password changes nothing, five lock."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            user = await _user(hub)
            one, two = [await hub.accounts.login("binh", GOOD, "10.0.0.1") for _ in range(2)]
            new = Secret("xuân hạ thu đông")
            await hub.accounts.change_password(user.id, GOOD, new, keep_session=one.session.id)
            assert await hub.accounts.session(one.token.reveal()) is not None
            assert await hub.accounts.session(two.token.reveal()) is None
            for _ in range(5):
                with pytest.raises(ServiceError) as error:
                    await hub.accounts.change_password(user.id, GOOD, Secret("another good one"))
                assert error.value.code == "password_wrong"
            with pytest.raises(ServiceError) as error:
                await hub.accounts.change_password(user.id, new, Secret("another good one"))
            assert error.value.code == "login_locked"
            reset = await hub.accounts.reset_password("BINH", ANNA)
            assert await hub.accounts.session(one.token.reveal()) is None
            assert (await hub.accounts.login("binh", reset, "10.0.0.1")).session.user.must_change_password

    run(go())


def test_the_last_administrator_stays(new_url: NewUrl, tmp_path: Path) -> None:
    """It can be neither disabled nor given another role; once there is another one it can."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            admin = await _user(hub, "admin", "admin", areas=())
            disabled = await _user(hub, "former", "admin", areas=())
            await hub.accounts.change(disabled.id, ANNA, disabled=True)
            for change in ({"disabled": True}, {"role": "operator"}):
                with pytest.raises(ServiceError) as error:
                    await hub.accounts.change(admin.id, ANNA, **change)  # type: ignore[arg-type]
                assert error.value.code == "last_admin"
            await _user(hub, "second", "admin", areas=())
            assert (await hub.accounts.change(admin.id, ANNA, role="operator")).role == "operator"

    run(go())


def test_less_right_ends_the_sessions(sqlite_url: str, tmp_path: Path) -> None:
    """A new role, new areas or disabling end a person's sign-ins; a new display name does not."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            user = await _user(hub)
            for change, ends in (
                ({"display_name": "Bình"}, False),
                ({"areas": (OTHER_WARD,)}, True),
                ({"role": "operator"}, True),
                ({"disabled": True}, True),
            ):
                signed_in = await hub.accounts.login("binh", GOOD, "10.0.0.1")
                await hub.accounts.change(user.id, ANNA, **change)  # type: ignore[arg-type]
                assert (await hub.accounts.session(signed_in.token.reveal()) is None) is ends, change

    run(go())


def test_a_principal_knows_the_areas_above_its_own(new_url: NewUrl, tmp_path: Path) -> None:
    """Lineage holds the ward and its province; numbers in place of names count up."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            one, two = await _user(hub), await _user(hub, "an", areas=(PROVINCE, "*"))
            principal = await hub.accounts.principal(one.id)
            assert principal is not None
            assert principal.lineage == {WARD, PROVINCE}
            assert principal.in_area((PROVINCE, WARD))
            assert not principal.in_area((PROVINCE, OTHER_WARD))
            assert two.number == one.number + 1
            everywhere = await hub.accounts.principal(two.id)
            assert everywhere is not None
            assert everywhere.in_area(())
            assert await hub.accounts.principal("none") is None

    run(go())


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"name": ""}, "name", "invalid_input"),
        ({"name": "a\nb"}, "name", "invalid_input"),
        ({"name": "BINH"}, "name", "name_taken"),
        ({"role": "root"}, "role", "invalid_input"),
        ({"areas": ("12345",)}, "areas", "area_unknown"),
        ({"custodian_id": "nobody"}, "custodian_id", "custodian_unknown"),
        ({"role": "donor"}, "custodian_id", "invalid_input"),
        ({"password": Secret("short")}, "password", "password_weak"),
        ({"locale": "fr"}, "locale", "invalid_input"),
    ],
)
def test_a_person_that_does_not_fit_is_refused_by_field(
    sqlite_url: str, tmp_path: Path, wrong: dict[str, object], field: str, code: str
) -> None:
    """Each wrong field is named and nobody is added."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            await _user(hub)
            values: dict[str, object] = {"name": "new", "role": "viewer", **wrong}
            with pytest.raises(ServiceError) as error:
                await hub.accounts.add(NewUser(**values), ANNA)  # type: ignore[arg-type]
            assert (error.value.field, error.value.code) == (field, code)
            assert len(await hub.accounts.users()) == 1

    run(go())


def test_a_donor_belongs_to_a_custodian(sqlite_url: str, tmp_path: Path) -> None:
    """A donor's account is bound to its custodian and owns the cameras of that one only."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            custodian = await hub.catalog.add_custodian(NewCustodian(Kind.HOUSEHOLD, "Bà Hoa"), ANNA)
            user = await _user(hub, "hoa", "donor", areas=(), custodian_id=custodian.id)
            principal = await hub.accounts.principal(user.id)
            assert principal is not None
            assert principal.owns(custodian.id)
            assert principal.scope().custodian_id == custodian.id
            assert not principal.scope().everywhere

    run(go())


@pytest.mark.parametrize(
    "weak", ["short", "password123", "aaaaaaaaaaaa", "administrator", "binhbinhbinh", "x" * 300]
)
def test_weak_passwords_are_refused(weak: str) -> None:
    """Too short, too long, known to everybody, or the name over again."""
    with pytest.raises(Invalid) as error:
        check_new(Secret(weak), "binh" if "binh" in weak else "administrator")

    assert error.value.code == "password_weak"


def test_one_time_passwords_are_long_and_differ() -> None:
    """Sixteen letters and digits in four groups, never the same, and good enough to be kept."""
    made = {one_time().reveal() for _ in range(200)}

    assert len(made) == 200
    assert all(len(password) == 19 and not set(password) & set("01ilo") for password in made)
    check_new(one_time(), "admin")


@pytest.mark.long
def test_the_default_parameters_are_argon2id_with_64_mib() -> None:
    """What is stored says Argon2id, 64 MiB, 3 passes, 4 lanes; a hash with less is made anew at the next sign-in."""

    async def go() -> None:
        passwords = Passwords()
        hashed = await passwords.hash(GOOD)
        assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert await passwords.matches(hashed, GOOD)
        assert not await passwords.matches(hashed, Secret("other"))
        assert not await passwords.matches(None, GOOD)
        assert not await passwords.matches(hashed, Secret("x" * 100_000))
        assert passwords.outdated(await Passwords(memory_kib=64, passes=1, lanes=1).hash(GOOD))

    run(go())
