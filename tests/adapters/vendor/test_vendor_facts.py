"""What each family's documented replies become, asked for through the whole adapter.

The replies follow the vendors' documents; none of them was captured, so each test says what it takes from where.
"""

from datetime import UTC, datetime, timedelta, timezone

import corpus
import pytest
from asking import Told, ask
from vendor_replay import USER, Answer, Made, Replayer, Seen, axis_device, dahua_device, isapi_device

from standards.reason import Reason

NS = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'
DEVICE = f"<DeviceInfo {NS}><model>DS-X</model><firmwareVersion>V5.7</firmwareVersion></DeviceInfo>".encode()
CHANNELS = (
    f"<StreamingChannelList {NS}><StreamingChannel><id>101</id><Video><videoCodecType>H.265</videoCodecType>"
    "<videoResolutionWidth>2560</videoResolutionWidth><videoResolutionHeight>1440</videoResolutionHeight>"
    "</Video></StreamingChannel></StreamingChannelList>"
).encode()


def isapi(**replies: str) -> Answer:
    """Answers by path below /ISAPI (``__`` for ``/``), in the namespace of isapi.org."""
    known = {f"/ISAPI/{name.replace('__', '/')}": text.encode() for name, text in replies.items()}
    known.setdefault("/ISAPI/System/deviceInfo", DEVICE)
    known.setdefault("/ISAPI/Streaming/channels", CHANNELS)

    def answer(seen: Seen) -> Made | None:
        if seen.path.endswith("/picture"):
            return 200, "image/jpeg", b"\xff\xd8\xff"
        body = known.get(seen.path)
        return (200, "application/xml", body) if body is not None else None

    return answer


def asked(answer: Answer, scheme: str = "hikvision", **options: object) -> Told:
    return ask(scheme, Replayer(answer), **options)


class TestHikvision:
    def test_everything_that_isapi_tells(self) -> None:
        """Accounts, lock-out, services, masks, storage, schedules and encryption, as the vendors' table lists them."""
        zone = timezone(timedelta(hours=7))
        local = (datetime.now(UTC) + timedelta(seconds=100)).astimezone(zone).replace(microsecond=0)
        told = asked(
            isapi(
                System__time=f"<Time {NS}><timeMode>NTP</timeMode><localTime>{local.isoformat()}</localTime>"
                "<timeZone>ICT-7:00:00</timeZone></Time>",
                System__time__ntpServers=f"<NTPServerList {NS}><NTPServer><id>1</id><hostName>vn.pool.ntp.org"
                "</hostName></NTPServer></NTPServerList>",
                Security__userCheck=f"<userCheck {NS}><statusValue>200</statusValue><isDefaultPassword>false"
                "</isDefaultPassword><isRiskPassword>true</isRiskPassword><isActivated>true</isActivated></userCheck>",
                Security__illegalLoginLock=f"<IllegalLoginLock {NS}><enabled>true</enabled><maxIllegalLoginTimes>5"
                "</maxIllegalLoginTimes><maxIllegalLoginLockTime>1800</maxIllegalLoginLockTime></IllegalLoginLock>",
                Security__users=f"<UserList {NS}><User><id>1</id><userName>admin</userName><userLevel>Administrator"
                f"</userLevel></User><User><id>2</id><userName>{USER}</userName><userLevel>Viewer</userLevel></User>"
                "</UserList>",
                Security__webCertificate=f"<WebCertificate {NS}><CertificateType>digest/basic</CertificateType>"
                "<SecurityAlgorithm><algorithmType>MD5/SHA256</algorithmType></SecurityAlgorithm></WebCertificate>",
                Security__adminAccesses=f"<AdminAccessProtocolList {NS}>"
                "<AdminAccessProtocol><protocol>HTTP</protocol><enabled>true</enabled><portNo>80</portNo></AdminAccessProtocol>"
                "<AdminAccessProtocol><protocol>RTSP</protocol><enabled>true</enabled><portNo>10554</portNo></AdminAccessProtocol>"
                "<AdminAccessProtocol><protocol>HTTPS</protocol><enabled>false</enabled><portNo>443</portNo></AdminAccessProtocol>"
                "</AdminAccessProtocolList>",
                System__Network__Integrate=f"<Integrate {NS}><ONVIF><enable>false</enable></ONVIF></Integrate>",
                System__Network__telnetd=f"<Telnetd {NS}><enabled>false</enabled></Telnetd>",
                System__Network__ssh=f"<SSH {NS}><enabled>true</enabled></SSH>",
                System__Network__UPnP=f"<UPnP {NS}><enabled>false</enabled></UPnP>",
                System__Network__EZVIZ=f"<EZVIZ {NS}><enabled>true</enabled><verificationCode>QWERTZ"
                "</verificationCode></EZVIZ>",
                Security__videoEncryption=f"<VideoEncryption {NS}><enabled>true</enabled></VideoEncryption>",
                System__Video__inputs__channels__1__privacyMask=f"<PrivacyMask {NS}><enabled>true</enabled>"
                "<PrivacyMaskRegionList><PrivacyMaskRegion><id>1</id><enabled>true</enabled></PrivacyMaskRegion>"
                "<PrivacyMaskRegion><id>2</id><enabled>false</enabled></PrivacyMaskRegion></PrivacyMaskRegionList></PrivacyMask>",
                ContentMgmt__Storage=f"<storage {NS}><hddList><hdd><id>1</id><hddType>SATA</hddType><status>ok</status>"
                "<capacity>953869</capacity><freeSpace>1024</freeSpace></hdd></hddList></storage>",
                ContentMgmt__record__tracks=f"<TrackList {NS}><Track><id>101</id><TrackSchedule><ScheduleBlockList>"
                "<ScheduleBlock><ScheduleAction><Actions><Record>true</Record><ActionRecordingMode>CMR"
                "</ActionRecordingMode></Actions></ScheduleAction></ScheduleBlock></ScheduleBlockList></TrackSchedule>"
                "</Track></TrackList>",
            )
        )

        assert told.result.failure is None
        assert 98.0 < float(str(told.value("time.offset_s"))) < 101.0
        expected = {
            "time.source": "NTP",
            "time.zone_offset_min": 420,
            "time.daylight_savings": False,
            "time.ntp_servers": ("vn.pool.ntp.org",),
            "account.password_status": "risk",
            "account.activated": True,
            "account.lockout_enabled": True,
            "account.lockout_attempts": 5,
            "account.lockout_s": 1800,
            "account.levels": ("administrator", "user"),
            "account.own_level": "user",
            "service.http_auth": ("digest-sha256", "digest-md5", "basic"),
            "service.rtsp_port": 10554,
            "service.https": False,
            "service.onvif": False,
            "service.telnet": False,
            "service.ssh": True,
            "service.upnp": False,
            "service.p2p": True,
            "stream.encrypted": True,
            "privacy.masks": 1,
            "privacy.mask_supported": True,
            "storage.present": True,
            "recording.mode": "continuous",
            "vendor.apis": ("ISAPI 2.0", "isapi.org/ver20"),
            "snapshot.anonymous": "refused",
            "snapshot.status": 200,
            "snapshot.content_type": "image/jpeg",
            "stream.main.claimed_encoding": "H265",
        }
        assert {fact: told.value(fact) for fact in expected} == expected
        assert told.result.offers[0].target.url == "rtsp://127.0.0.1:10554/Streaming/Channels/101"
        assert told.result.snapshot is not None
        assert told.result.snapshot.path == "/ISAPI/Streaming/channels/101/picture"

    def test_names_and_codes_stay_with_the_device(self) -> None:
        """Account names and the platform's verification code are in no fact, excerpt or message."""
        told = asked(
            isapi(
                Security__users=f"<UserList {NS}><User><userName>nguyenvana</userName><userLevel>Operator"
                "</userLevel></User></UserList>",
                System__Network__EZVIZ=f"<EZVIZ {NS}><enabled>true</enabled><verificationCode>QWERTZ"
                "</verificationCode></EZVIZ>",
            )
        )

        assert told.value("account.levels") == ("operator",)
        assert told.value("service.p2p") is True
        assert not any(word in told.text() for word in ("nguyenvana", "QWERTZ"))

    @corpus.needs_corpus
    def test_a_recorder_is_one_pair_of_offers_per_channel(self) -> None:
        """DS-8632N-I8: 13 pairs; the channel that is meant comes first, so that its stream is measured."""
        told = asked(isapi_device("10_18_176_64"), video_source="3")

        assert len(told.result.offers) == 26
        assert told.value("media.video_sources") == 13
        assert [offer.target.path for offer in told.result.offers[:3]] == [
            "/Streaming/Channels/301",
            "/Streaming/Channels/302",
            "/Streaming/Channels/101",
        ]
        assert {offer.video_source_token for offer in told.result.offers[:2]} == {"3"}

    @corpus.needs_corpus
    def test_ids_of_2015_are_offered_as_the_device_writes_them(self) -> None:
        """DS-FB2127: main and sub are /Streaming/Channels/1 and 2 (quirk 100), named in the quirks."""
        told = asked(isapi_device("10_18_176_18"))

        assert [offer.target.path for offer in told.result.offers] == [
            "/Streaming/Channels/1",
            "/Streaming/Channels/2",
        ]
        assert told.value("vendor.quirks") == ("channel_ids_from_1",)

    def test_a_device_whose_rtsp_is_off_offers_nothing(self) -> None:
        """The device's own word that RTSP is off is enough: no address is offered."""
        told = asked(
            isapi(
                Security__adminAccesses=f"<AdminAccessProtocolList {NS}><AdminAccessProtocol><protocol>RTSP</protocol>"
                "<enabled>false</enabled><portNo>554</portNo></AdminAccessProtocol></AdminAccessProtocolList>"
            )
        )

        assert told.result.offers == ()
        assert told.value("target.interfaces") == ("hikvision",)
        assert told.value("stream.main.claimed_width") == 2560

    @pytest.mark.parametrize(
        ("schedule", "mode"),
        [
            ("<Record>true</Record><ActionRecordingMode>MOTION</ActionRecordingMode>", "event"),
            ("<Record>false</Record><ActionRecordingMode>CMR</ActionRecordingMode>", "off"),
        ],
    )
    def test_recording_modes(self, schedule: str, mode: str) -> None:
        """Only CMR is continuous; an action that does not record is none."""
        told = asked(
            isapi(
                ContentMgmt__record__tracks=f"<TrackList {NS}><Track><ScheduleAction><Actions>{schedule}</Actions>"
                "</ScheduleAction></Track></TrackList>"
            )
        )
        assert told.value("recording.mode") == mode

    def test_a_local_time_without_zone_counts_with_the_posix_zone(self) -> None:
        """Firmware that writes localTime without offset: the POSIX zone gives it; with daylight saving nothing does."""
        local = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S")
        plain = f"<Time {NS}><timeMode>manual</timeMode><localTime>{local}</localTime><timeZone>CST-8:00:00"
        told = asked(isapi(System__time=f"{plain}</timeZone></Time>"))
        saving = asked(
            isapi(System__time=f"{plain}DST01:00:00,M4.1.0/02:00:00,M10.5.0/02:00:00</timeZone></Time>")
        )

        assert abs(float(str(told.value("time.offset_s")))) < 30
        assert (told.value("time.source"), told.value("time.zone_offset_min")) == ("Manual", 480)
        assert saving.value("time.daylight_savings") is True
        assert saving.reason("time.offset_s") is not None


DAHUA = {
    "getSystemInfo": "deviceType=IP Camera\nserialNumber=1A\nupdateSerial=IPC-HFW1230S\nhardwareVersion=1.00",
    "getDeviceType": "type=KX-A2011",
    "getVendor": "Vendor=KBVision",
    "getSoftwareVersion": "version=2.820.1\nbuild:2022-03-04",
    "Encode": "\n".join(
        f"table.Encode[{channel}].{kind}[0].{line}"
        for channel in (0, 1)
        for kind, width in (("MainFormat", 1920), ("ExtraFormat", 640))
        for line in (
            "Video.Compression=H.265",
            f"Video.Width={width}",
            "Video.Height=480",
            "Video.FPS=15",
            "Video.BitRate=1024",
            "Video.GOP=30",
            "VideoEnable=true",
        )
    ),
    "RTSP": "table.RTSP.Enable=true\ntable.RTSP.Port=8554",
    "Locales": "table.Locales.DSTEnable=false",
    "NTP": "table.NTP.Enable=true\ntable.NTP.Address=time.viettel.vn\ntable.NTP.TimeZone=12",
    "getUserInfoAll": f"users[0].Id=1\nusers[0].Name=admin\nusers[0].Group=admin\nusers[1].Name={USER}\n"
    "users[1].Group=user",
    "Https": "table.Https.Enable=false\ntable.Https.Port=443",
    "Telnet": "table.Telnet.Enable=true",
    "SSHD": "table.SSHD.Enable=false",
    "UPnP": "table.UPnP.Enable=false\ntable.UPnP.MapTable[0].Enable=true",
    "T2UServer": "table.T2UServer.Enable=true\ntable.T2UServer.SN=9Z8Y7X",
    "VideoWidget": "table.VideoWidget[0].Covers[0].EncodeBlend=true\n"
    "table.VideoWidget[0].Covers[1].EncodeBlend=false\ntable.VideoWidget[0].Covers[0].PreviewBlend=true",
    "PrivacyMasking": "table.PrivacyMasking[0][0].Enable=true",
    "RecordMode": "table.RecordMode[0].Mode=0\ntable.RecordMode[1].Mode=2",
    "getDeviceAllInfo": "list.info[0].Name=/dev/mmc0\nlist.info[0].State=Success\n"
    "list.info[0].Detail[0].TotalBytes=31000000000.0\nlist.info[0].Detail[0].UsedBytes=1000000000.0\n"
    "list.info[0].Detail[0].IsError=false",
    "Network": "table.Network.eth0.PhysicalAddress=3C:EF:8C:11:22:33\ntable.Network.Hostname=cam",
    "getVersion": "version=16.12",
}


class TestDahua:
    def test_everything_that_the_cgi_tells(self) -> None:
        """Identity of a KBVision, channels, clock, accounts, services, masks, storage, recording."""
        local = (datetime.now(UTC) + timedelta(hours=7)).strftime("%Y-%m-%d %H:%M:%S")
        told = asked(dahua_device({**DAHUA, "getCurrentTime": f"result={local}"}), "dahua")

        assert told.result.failure is None
        assert abs(float(str(told.value("time.offset_s")))) < 30
        expected = {
            "device.manufacturer": "KBVision",
            "device.model": "IPC-HFW1230S",
            "device.firmware": "2.820.1 build 2022-03-04",
            "device.serial": "1A",
            "device.mac": ("3c:ef:8c:11:22:33",),
            "time.source": "NTP",
            "time.zone_offset_min": 420,
            "time.ntp_servers": ("time.viettel.vn",),
            "time.daylight_savings": False,
            "account.levels": ("administrator", "user"),
            "account.own_level": "user",
            "service.rtsp_port": 8554,
            "service.https": False,
            "service.telnet": True,
            "service.ssh": False,
            "service.upnp": False,
            "service.p2p": True,
            "privacy.masks": 2,
            "privacy.mask_supported": True,
            "storage.present": True,
            "storage.devices": ({"kind": "sd", "status": "success", "capacity_mb": 31000, "free_mb": 30000},),
            "recording.mode": "mixed",
            "media.video_sources": 2,
            "stream.main.claimed_encoding": "H265",
            "stream.main.claimed_gov_length": 30,
            "stream.sub.claimed_width": 640,
            "vendor.apis": ("CGI", "ONVIF 16.12"),
            "vendor.quirks": ("generic_device_type",),
        }
        assert {fact: told.value(fact) for fact in expected} == expected
        assert [offer.target.url for offer in told.result.offers[:2]] == [
            "rtsp://127.0.0.1:8554/cam/realmonitor?channel=1&subtype=0",
            "rtsp://127.0.0.1:8554/cam/realmonitor?channel=1&subtype=1",
        ]
        assert len(told.result.offers) == 4
        assert "9Z8Y7X" not in told.text()

    def test_daylight_saving_makes_no_offset_up(self) -> None:
        """The device tells local time only: with daylight saving on, its offset stays unknown."""
        replies = {
            **DAHUA,
            "Locales": "table.Locales.DSTEnable=true",
            "getCurrentTime": "result=2026-11-21 12:00:00",
        }
        told = asked(dahua_device(replies), "dahua")

        assert told.reason("time.offset_s") is Reason.EMPTY_REPLY
        assert told.value("time.daylight_savings") is True

    @corpus.needs_corpus
    def test_without_its_encoders_the_family_rule_gives_the_address(self) -> None:
        """An account that may not read Encode: claims read no_privilege, the stream's address is the family's."""
        from vendor_replay import dahua_captured

        def denied(seen: Seen) -> Made | None:
            if seen.query.get("name") == "Encode":
                return 403, "text/plain", b"Error\r\nNo Authority!\r\n"
            return None

        told = ask("dahua", Replayer(dahua_device(dahua_captured()), denied=denied))

        assert told.reason("stream.main.claimed_width") is Reason.NO_PRIVILEGE
        assert told.result.offers[0].target.path == "/cam/realmonitor?channel=1&subtype=0"


class TestAxis:
    PARAMETERS = """\
root.Brand.Brand=AXIS
root.Brand.ProdNbr=P3245-LV
root.Properties.Image.Format=jpeg,mjpeg,h264,h265
root.Properties.PrivacyMask.PrivacyMask=yes
root.Image.I0.Enabled=yes
root.Image.I0.Appearance.Resolution=1920x1080
root.Image.I0.MPEG.ZGopMode=dynamic
root.Image.I0.Overlay.MaskWindows.M0.Enabled=yes
root.Image.I0.Overlay.MaskWindows.M1.Enabled=no
root.StreamProfile.S0.Name=Cổng sau
root.StreamProfile.S0.Parameters=videocodec=h264&resolution=640x360&fps=10
root.Network.RTSP.Port=9554
root.Network.RTSP.ProtViewer=anonymous
root.Network.HTTP.AuthenticationPolicy=digest
root.System.BoaProtViewer=password
"""

    def test_everything_that_vapix_tells(self) -> None:
        """JSON interfaces of newer firmware: identity, clock, NTP, set-up, disks; profile names are escaped."""
        now = datetime.now(UTC)
        local = now.astimezone(timezone(timedelta(hours=7)))
        posts = {
            "basicdeviceinfo.cgi": b'{"data":{"propertyList":{"Version":"11.9.60","SerialNumber":"B8A44F000001",'
            b'"HardwareID":"9B1"}}}',
            "time.cgi": f'{{"data":{{"dateTime":"{now:%Y-%m-%dT%H:%M:%SZ}","dstEnabled":true,'
            f'"localDateTime":"{local:%Y-%m-%dT%H:%M:%S}"}}}}'.encode(),
            "ntp.cgi": b'{"data":{"client":{"enabled":true,"NTPSource":"static","staticServers":["vn.pool.ntp.org"]}}}',
            "systemready.cgi": b'{"data":{"systemready":"yes","needsetup":"no"}}',
            "disks/list.cgi": b'<root><disks><disk diskid="SD_DISK" totalsize="31000000" freesize="1000" status="OK"/>'
            b"</disks></root>",
            "record/continuous/listconfiguration.cgi": b"<root><continuousrecordingconfigurations>"
            b'<continuousrecordingconfiguration diskid="SD_DISK"/></continuousrecordingconfigurations></root>',
        }
        users = f'admin="root"\nviewer="{USER},root"\ndigusers="root,{USER}"'.encode()
        told = asked(axis_device(self.PARAMETERS, posts, users), "axis")

        assert told.result.failure is None
        assert abs(float(str(told.value("time.offset_s")))) < 30
        expected = {
            "device.model": "P3245-LV",
            "device.firmware": "11.9.60",
            "device.serial": "B8A44F000001",
            "time.source": "NTP",
            "time.ntp_servers": ("vn.pool.ntp.org",),
            "time.zone_offset_min": 420,
            "time.daylight_savings": True,
            "account.levels": ("administrator", "user"),
            "account.own_level": "user",
            "account.activated": True,
            "account.anonymous_allowed": True,
            "privacy.mask_supported": True,
            "privacy.masks": 1,
            "storage.present": True,
            "recording.mode": "continuous",
            "service.rtsp_port": 9554,
        }
        assert {fact: told.value(fact) for fact in expected} == expected
        assert [offer.target.path for offer in told.result.offers] == [
            "/axis-media/media.amp?camera=1",
            "/axis-media/media.amp?camera=1&streamprofile=C%E1%BB%95ng%20sau",
        ]
        assert told.result.offers[0].target.port == 9554
        assert told.value("stream.main.claimed_encoding") == "H264"

    def test_parameters_that_a_device_does_not_have_are_not_a_fault(self) -> None:
        """'# Error' lines mean that the group is missing: its facts are denied, nothing else suffers."""
        told = asked(axis_device(self.PARAMETERS), "axis")

        assert told.result.failure is None
        assert told.reason("service.p2p") is Reason.DENIED_BY_DEVICE
        assert told.reason("time.offset_s") is Reason.DENIED_BY_DEVICE
