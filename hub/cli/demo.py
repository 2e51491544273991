"""``camhub demo``: a hub with nine simulated cameras, onboarded, checked and live in the browser."""

import asyncio
import contextlib
import ctypes
import json
import os
import random
import signal
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.settings import Health, Networks, Relay, Settings, SettingsRefused

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.catalog.types import ConsentInput, NewCustodian

PRESETS = (
    "good-onvif",
    "household-no-onvif",
    "open-no-auth",
    "low-resolution",
    "wrong-clock",
    "h265-only",
    "mjpeg-2009",
    "dome-ptz",
    "dead",
)
ROLES = ("admin", "operator", "viewer", "inspector", "donor")
DONATED = ("household-no-onvif", "open-no-auth")  # the demo donor's own
SCHOOLS = ("low-resolution",)
MOVABLE = ("dome-ptz",)  # with the ward's approval to move them on record
SIMULATORS_WITHIN_S = 30.0
PORT_TRIES = 5
NOTES = "demo.json"  # in the data directory: logins and ports of a demo that is run again
PR_SET_PDEATHSIG = 1  # prctl(2)

# Where the cameras of the demo stand, around one point; made up.
CENTRE = (19.807, 105.776)


@dataclass(frozen=True, slots=True)
class Simulated:
    """One line of ``camhub simulate --json``."""

    preset: str
    name: str
    onvif: str
    rtsp: str
    sub: str
    user: str
    password: str

    @property
    def address(self) -> str:
        """Return the address that goes into the hub."""
        return self.onvif or self.rtsp

    def hosts(self) -> list[str]:
        """Return host:port of each of its services: exactly what the demo's dialer may dial."""
        urls = [url for url in (self.onvif, self.rtsp) if url]
        return [url.partition("://")[2].partition("/")[0] for url in urls]


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="HTTP port.")
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything here and go on with it the next time; without, nothing is kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once everything is ready.")
def demo(*, port: int, no_browser: bool, data: Path | None, as_json: bool) -> None:
    """Run a hub with simulated cameras and open it in the browser."""
    from hub.observe import configure_logging

    configure_logging("warning", "console")
    with contextlib.ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="camhub-demo-")))
        sys.exit(asyncio.run(_demo(port, data, browser=not no_browser and not as_json, as_json=as_json)))


async def _demo(port: int, data: Path, *, browser: bool, as_json: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(_run(port, data, browser=browser, as_json=as_json))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not work.done():
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return 0
    except DemoFailed as error:
        click.echo(f"camhub demo: {error}", err=True)
        return 2
    return 0


class DemoFailed(Exception):
    """The demo cannot run; the message says why and what to do."""


async def _run(port: int, data: Path, *, browser: bool, as_json: bool) -> None:
    notes = _read_notes(data)
    async with contextlib.AsyncExitStack() as stack:
        simulating = asyncio.create_task(_simulators(stack, notes))  # they start while the hub does
        stack.push_async_callback(_ended, simulating)
        from hub.app import Hub
        from hub.coordination.redis import CoordinationError
        from hub.relay.workers.service import RelayUnavailable
        from hub.store.errors import StoreError

        settings = Settings(
            data_dir=data,
            port=port,
            host="127.0.0.1",
            name="Trung tâm thử nghiệm",
            log_level="warning",
            log_format="console",
            database_url=None,
            redis_url=None,
            tls_cert=None,
            tls_key=None,
            behind_proxy=False,
            networks=Networks(public=False),  # nothing, until the cameras' ports are known
            relay=Relay(udp_port=0, workers=1),
            health=Health(interval_s=20.0),
            probes_at_once=len(PRESETS),
        )
        try:
            hub = await stack.enter_async_context(Hub.start(settings))
        except (SettingsRefused, StoreError, CoordinationError, RelayUnavailable) as error:
            raise DemoFailed(str(error)) from error
        logins, custodian = await _people(hub, notes)
        _write_notes(data, notes)
        if not as_json:
            _greet(hub.url, logins)
        if browser:
            _open_browser(hub.url)
        cameras = await simulating
        allow = [host for camera in cameras for host in camera.hosts()]
        hub.dialer.policy = Networks(allow=allow, public=False).policy()
        _write_notes(data, notes)
        await _onboard_all(hub, cameras, custodian, quiet=as_json)
        if as_json:
            click.echo(json.dumps({"url": hub.url, "users": logins}, ensure_ascii=False))
        else:
            click.echo("\nAll cameras are in. Stop with Ctrl+C.")
        sys.stdout.flush()
        await asyncio.Event().wait()  # until cancelled: leaving this block stops everything in order


# --- the cameras


async def _ended(task: "asyncio.Task[list[Simulated]]") -> None:
    """Make sure that a start which was given up does not go on."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _simulators(stack: contextlib.AsyncExitStack, notes: dict[str, Any]) -> list[Simulated]:
    """Start the scripted cameras in a process of their own; the same ports as last time where they are free."""
    tries = [int(notes.get("first_port", 0)) or _some_port(), *(_some_port() for _ in range(PORT_TRIES))]
    for first_port in tries:
        process = await stack.enter_async_context(
            _child(("simulate", *PRESETS, "--json", "--port", str(first_port)))
        )
        assert process.stdout is not None
        found: list[Simulated] = []
        try:
            async with asyncio.timeout(SIMULATORS_WITHIN_S):
                while len(found) < len(PRESETS) and (line := await process.stdout.readline()):
                    told = json.loads(line)
                    found.append(Simulated(**{name: told[name] or "" for name in Simulated.__slots__}))
        except TimeoutError as error:
            raise DemoFailed(
                f"the simulated cameras did not start within {SIMULATORS_WITHIN_S:.0f} s"
            ) from error
        if len(found) == len(PRESETS):
            notes["first_port"] = first_port
            return found
        await process.wait()  # most likely one of the ports is taken: try others
    raise DemoFailed("the simulated cameras cannot start; run camhub simulate all to see why")


def _some_port() -> int:
    """Return a first port for a block of 16, below the range from which systems hand out ports."""
    return random.randrange(20_000, 32_000, 16)  # noqa: S311  not a secret


@asynccontextmanager
async def _child(arguments: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``camhub ARGUMENTS`` as a child that ends with us, whatever way we end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hub",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl+C goes to us; we stop the child in order
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(5.0):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent does, even by SIGKILL (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


# --- people


async def _people(hub: "Hub", notes: dict[str, Any]) -> tuple[list[dict[str, str]], str]:
    """Make one person per role with a password that need not be changed; return the logins and the donor's custodian."""
    from adapters.secret import Secret
    from hub.access.accounts import NewUser
    from hub.access.passwords import one_time
    from hub.catalog.types import Kind, NewCustodian
    from hub.store.chain import HUB

    accounts, catalog = hub.services.accounts, hub.services.catalog
    known: dict[str, str] = notes.setdefault("passwords", {})
    custodian = str(notes.get("custodian", ""))
    if not custodian or await catalog.custodian(custodian) is None:
        custodian = (await catalog.add_custodian(NewCustodian(Kind.HOUSEHOLD, "Nhà chị Hoa"), HUB)).id
        notes["custodian"] = custodian
    logins = []
    for role in ROLES:
        user = await accounts.by_name(role)
        if user is None:
            password = one_time()
            await accounts.add(
                NewUser(
                    role,
                    role,
                    NAMES[role],
                    areas=("*",) if role == "viewer" else (),
                    custodian_id=custodian if role == "donor" else None,
                    password=password,
                ),
                HUB,
            )
        elif hub.first_administrator is not None and user.id == hub.first_administrator.user.id:
            password = one_time()
            await accounts.change_password(user.id, hub.first_administrator.password, password)
            await accounts.change(user.id, HUB, display_name=NAMES[role])
        elif role in known:
            password = Secret(known[role])
        else:
            raise DemoFailed(
                f"the data directory belongs to another hub: its user {role} is not the demo's; choose another --data"
            )
        known[role] = password.reveal()
        logins.append({"name": role, "password": known[role], "role": role})
    return logins, custodian


NAMES = {
    "admin": "Quản trị",
    "operator": "Trực ban",
    "viewer": "Cán bộ xem",
    "inspector": "Thanh tra",
    "donor": "Chị Hoa",
}


def _read_notes(data: Path) -> dict[str, Any]:
    try:
        told = json.loads((data / NOTES).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write_notes(data: Path, notes: dict[str, Any]) -> None:
    file = data / NOTES
    file.touch(mode=0o600)
    file.write_text(json.dumps(notes), "utf-8")


# --- onboarding


async def _onboard_all(hub: "Hub", cameras: Sequence[Simulated], custodian: str, *, quiet: bool) -> None:
    """Onboard all cameras side by side; each appears in the list when it is admitted."""
    found = await hub.services.areas.find("", 200)
    wards = [area.code for area in found if area.parent is not None] or [area.code for area in found]
    async with asyncio.TaskGroup() as group:
        for number, camera in enumerate(cameras):
            area = wards[number % len(wards)] if wards else None
            group.create_task(_onboard(hub, camera, custodian, area, number, quiet=quiet))


async def _onboard(
    hub: "Hub", camera: Simulated, donor: str, area: str | None, number: int, *, quiet: bool
) -> None:
    from adapters.secret import Credential, Secret
    from hub.catalog.types import UNCHANGED, CameraPatch, CameraQuery, Position
    from hub.onboarding.intake import Intake

    services = hub.services
    admin = await services.accounts.by_name("admin")
    assert admin is not None
    who = await services.accounts.principal(admin.id)
    assert who is not None
    credential = Credential(camera.user, Secret(camera.password)) if camera.user else None
    known = await services.catalog.list(CameraQuery(text=camera.name, limit=10))
    before = next((one for one in known.items if one.name == camera.name), None)
    if before is not None:
        if before.address != _normal(camera.address):
            patch = CameraPatch(
                address=camera.address,
                sub_address=camera.sub or UNCHANGED,
                credential=credential if credential is not None else UNCHANGED,
            )
            before = await services.catalog.update(before.id, patch, who.actor())
        entry = await services.onboarding.recheck(before, who)
    else:
        lat, lon = CENTRE[0] + 0.0031 * (number % 3), CENTRE[1] + 0.0042 * (number // 3)
        intake = Intake(
            address=camera.address,
            custodian=_custodian(camera.preset, donor),
            granted_by=NAMES["admin"],
            basis="owner" if camera.preset in DONATED else "authority",
            name=camera.name,
            area=area,
            position=Position(lat, lon, 5.0, float(40 * number % 360)),
            sub_address=camera.sub if not camera.onvif else "",
            consent=_consent(camera.preset),
            standard=services.settings.standard,
            keep_unreachable=True,
        )
        entry = await services.onboarding.start(intake, credential, who)
    feed_entry, feed = await services.onboarding.subscribe(entry.id)
    while await feed.get() is not None:
        pass
    ended = await services.onboarding.get(feed_entry.id)
    if camera.preset in MOVABLE and ended.camera_id is not None and before is None:
        approval = ("Phường thử nghiệm", "authority")
        await services.catalog.approve_ptz(ended.camera_id, approval, who.actor())
    if not quiet:
        seconds = (ended.ended_at - ended.started_at).total_seconds() if ended.ended_at else 0.0
        click.echo(
            f"  {camera.preset:<20} {ended.decision or ended.state:<12} {seconds:4.1f} s  {camera.name}"
        )


def _normal(address: str) -> str:
    from adapters.target import parse_target

    return parse_target(address)[0].url


def _custodian(preset: str, donor: str) -> "str | NewCustodian":
    from hub.catalog.types import Kind, NewCustodian

    if preset in DONATED:
        return donor
    if preset in SCHOOLS:
        return NewCustodian(Kind.SCHOOL, "Trường tiểu học thử nghiệm")
    return NewCustodian(Kind.AUTHORITY, "Phường thử nghiệm")


def _consent(preset: str) -> "ConsentInput | None":
    """Return what the demo's donors have signed: always, for the hub's own people, without sound."""
    from hub.catalog.consent import current_text
    from hub.catalog.types import ConsentInput, Mode, Recipient

    if preset not in {*DONATED, *SCHOOLS}:
        return None
    return ConsentInput(
        sharing_mode=Mode.ALWAYS,
        purposes=("public_safety", "traffic", "incident", "search"),
        recipients=tuple(Recipient("", role) for role in ("admin", "operator", "viewer")),
        text_version=current_text().version,
        signed_by=NAMES["donor"],
    )


# --- words


def _greet(url: str, logins: Sequence[dict[str, str]]) -> None:
    click.echo(f"\ncamhub demo   {url}\n")
    for login in logins:
        click.echo(f"  {login['name']:<10} {login['password']}   {NAMES[login['role']]}")
    click.echo("\nThe cameras are being checked, about 15 s; they appear as they are admitted.\n")
    sys.stdout.flush()


def _open_browser(url: str) -> None:
    """Open the default browser where there is a screen; a browser in the terminal would block."""
    if sys.platform in {"darwin", "win32"} or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(url)
