"""The table of VAPIX reads, in the order in which they are asked: identity, streams, services, clock, accounts, the rest.

GET requests whose action is ``get`` or ``list``, and JSON POST requests whose method is one of an explicit list of
reads (vendors' table 3.3; developer.axis.com: Basic device information, Time, NTP, Edge storage APIs).
"""

import json
from collections.abc import Callable

from adapters.axis import replies
from adapters.wire.reads import Notes, Read, Take, VendorStream, always
from adapters.wire.vendor import Family

_DEVICE = (
    "device.manufacturer",
    "device.model",
    "device.firmware",
    "device.serial",
    "device.hardware_id",
)


def _json(
    script: str,
    method: str,
    facts: tuple[str, ...],
    take: Take,
    *,
    params: dict[str, int] | None = None,
    quote: bool = False,
    times: int = 1,
    when: Callable[[Notes], bool] = always,
) -> Read:
    asked: dict[str, object] = {"apiVersion": "1.0", "method": method}
    if params:
        asked["params"] = params
    body = json.dumps(asked, separators=(",", ":")).encode()
    path = f"/axis-cgi/{script}.cgi"
    return Read(
        f"VAPIX {script} {method}",
        path,
        facts,
        take,
        body=body,
        quote=quote,
        times=times,
        when=when,
    )


def _groups(*names: str) -> str:
    return f"/axis-cgi/param.cgi?action=list&group={'%2C'.join(f'root.{name}' for name in names)}"


def _lacks_identity(notes: Notes) -> bool:
    return any(fact not in notes.facts for fact in _DEVICE)


def _has_no_time_source(notes: Notes) -> bool:
    return "time.source" not in notes.facts


BRAND = Read(
    "VAPIX param Brand,Properties",
    _groups("Brand", "Properties"),
    (*_DEVICE, "privacy.mask_supported", "vendor.apis"),
    replies.brand,
    identity=True,
    quote=True,
)

READS: tuple[Read, ...] = (
    BRAND,
    _json("apidiscovery", "getApiList", ("vendor.apis",), replies.api_list, quote=True),
    _json(
        "basicdeviceinfo",
        "getAllProperties",
        _DEVICE,
        replies.properties,
        quote=True,
        when=_lacks_identity,
    ),
    Read(
        "VAPIX param Image,StreamProfile",
        _groups("Image", "StreamProfile"),
        ("vendor.streams", "privacy.masks"),
        replies.images,
    ),
    Read(
        "VAPIX param Network,HTTPS,System",
        _groups("Network", "HTTPS", "System"),
        (
            "service.ports",
            "service.rtsp_port",
            "service.https",
            "service.ssh",
            "service.upnp",
            "service.http_auth",
            "account.activated",
            "account.anonymous_allowed",
            "device.mac",
        ),
        replies.network,
    ),
    _json(
        "time",
        "getDateTimeInfo",
        ("time.offset_s", "time.zone_offset_min", "time.daylight_savings"),
        replies.date_time,
        quote=True,
        times=3,
    ),
    _json("ntp", "getNTPInfo", ("time.source", "time.ntp_servers"), replies.ntp_info, quote=True),
    Read(
        "VAPIX param Time",
        _groups("Time"),
        ("time.source", "time.ntp_servers", "time.zone_offset_min", "time.daylight_savings"),
        replies.time_parameters,
        quote=True,
        when=_has_no_time_source,
    ),
    Read(
        "VAPIX pwdgrp",
        "/axis-cgi/pwdgrp.cgi?action=get",
        ("account.levels", "account.own_level"),
        replies.groups,
    ),
    _json("systemready", "systemready", ("account.activated",), replies.ready, params={"timeout": 1}),
    Read(
        "VAPIX param RemoteService",
        _groups("RemoteService"),
        ("service.p2p",),
        replies.remote_service,
    ),
    Read(
        "VAPIX disks",
        "/axis-cgi/disks/list.cgi?diskid=all",
        ("storage.devices", "storage.present"),
        replies.disks,
    ),
    Read(
        "VAPIX record continuous",
        "/axis-cgi/record/continuous/listconfiguration.cgi",
        ("recording.mode",),
        replies.continuous,
    ),
)


def _still(stream: VendorStream) -> str:
    return f"/axis-cgi/jpg/image.cgi?camera={stream.channel}"


FAMILY = Family(
    name="axis",
    version="1",
    interface="VAPIX",
    reach=BRAND,
    reads=READS,
    usual=(VendorStream("camera=1", layer="main", path="/axis-media/media.amp?camera=1"),),
    still=_still,
    explain=replies.explain,
)
