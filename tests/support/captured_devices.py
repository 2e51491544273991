"""Devices whose captured replies the tests hold against written facts: by interface, maker and model.

The replies themselves are not in this repository (see `corpus`). "" is a model that the capture does not name. A reply
shows that this reading works on that firmware; it does not show that a whole camera of that model was tried.
"""

from collections.abc import Mapping

# interface -> folder of the corpus -> maker -> models
CAPTURED: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "ONVIF": (
        "onvif",
        {
            "Amcrest": ("IP5M-B1186E",),
            "Axis": ("M2025-LE", "P3818-PVE", "P5655-E", "Q6045-E"),
            "Bosch": ("AUTODOME IP starlight 5000i", "FLEXIDOME indoor 5100i IR"),
            "D-Link": ("DCS-6511",),
            "Dahua": ("DH-SD4A425DB-HNY", ""),
            "Hikvision": ("DS-2DF7276-AEL",),
            "Hikvision OEM": ("ENP1A14-IR/25X",),
            "Lorex": ("",),
            "Reolink": ("E1 Zoom", ""),
            "Uniview OEM": ("SUNBA Performance-Series",),
            "Xiongmai-class": ("IPG-8150PSS",),
        },
    ),
    "RTSP, SDP and RTP": (
        "rtsp",
        {
            "ACES": ("L10013",),
            "Altasec": ("NVR",),
            "Amcrest": ("",),
            "Anjvision": ("",),
            "Axis": ("",),
            "Dahua": ("",),
            "Foscam": ("",),
            "Geovision": ("",),
            "GW Security": ("GW4089IP",),
            "Hikvision": ("", ""),
            "IOI": ("trk-101",),
            "IPCAM": ("C9F0SeZ3N0PbL0",),
            "Laureii": ("",),
            "MERCURY": ("",),
            "Reolink": ("", ""),
            "Sony": ("SNC-WR630",),
            "Teleste": ("MPH",),
            "TP-Link": ("TL-IPC44AW-COLOR", ""),
            "UDP Technology": ("",),
            "Uniview": ("IPC2122LB-SF28K-A",),
            "VStarcam": ("",),
            "Xiongmai-class": ("H264DVR 1.0",),
        },
    ),
    "Hikvision ISAPI": (
        "isapi",
        {
            "Hikvision": (
                "DS-2CD2155FWD-I",
                "DS-2CD2245XM-LGL2T",
                "DS-2CD3T67FWDAP2V2-LS",
                "DS-2CD3T86FWDV2-I3S",
                "DS-2DE3A20IW-D/GLT/XM",
                "DS-2DF8C832MX-ZDK",
                "DS-8632N-I8",
                "DS-FB2127",
            )
        },
    ),
    "Dahua CGI": ("dahua_cgi", {"Amcrest": ("IP4M-1041B",), "Dahua": ("IPC-HDW5831R-ZE",)}),
    "Axis VAPIX": (
        "axis_vapix",
        {"Axis": ("A9188", "M1054", "M1065-LW", "M3024-L", "P5512", "Q1921", "Q3505")},
    ),
    "Reolink HTTP API": ("reolink_json", {"Reolink": ("RLC-822A",)}),
    "UniFi Protect": (
        "unifi_protect",
        {"Ubiquiti": ("UNVR-PRO", "G4 Bullet", "G4 Dome", "G4 Doorbell", "G4 Pro")},
    ),
}
