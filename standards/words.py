"""The reasons in words, and the sentences of adapters that people meet most often, in Vietnamese."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from standards.reason import Reason
from standards.verdict import Verdict
from standards.wording import Text

REASON_WORDS: Mapping[Reason, Text] = MappingProxyType(
    {
        Reason.CONTRADICTORY: Text("các kết quả trái ngược nhau", "the results contradict each other"),
        Reason.OUT_OF_RANGE: Text(
            "giá trị nằm ngoài khoảng có nghĩa", "the value is outside any sensible range"
        ),
        Reason.UNSTABLE: Text("kết quả thay đổi giữa các lần đo", "the result changes from run to run"),
        Reason.TOO_FEW_SAMPLES: Text("chưa đủ số liệu để kết luận", "too few samples to conclude"),
        Reason.UNREACHABLE: Text("không nối được tới camera", "the camera cannot be reached"),
        Reason.TIMED_OUT: Text("camera không trả lời kịp", "the camera did not answer in time"),
        Reason.REFUSED: Text("camera từ chối", "the camera refused"),
        Reason.NOT_THE_PROTOCOL: Text(
            "có trả lời nhưng không đúng giao thức", "something answers, but not in this protocol"
        ),
        Reason.MALFORMED_HTTP: Text("trả lời HTTP sai định dạng", "the HTTP reply is malformed"),
        Reason.MALFORMED_XML: Text("trả lời XML sai định dạng", "the XML reply is malformed"),
        Reason.MALFORMED_RTSP: Text("trả lời RTSP sai định dạng", "the RTSP reply is malformed"),
        Reason.MALFORMED_MEDIA: Text("dữ liệu hình sai định dạng", "the media is malformed"),
        Reason.EMPTY_REPLY: Text("camera trả lời rỗng", "the reply is empty"),
        Reason.DEVICE_FAULT: Text("camera báo lỗi", "the camera reported a fault"),
        Reason.TLS_FAILED: Text("không thiết lập được kết nối mã hoá", "the encrypted connection failed"),
        Reason.INTERNAL: Text(
            "lỗi của chính chương trình kiểm tra", "a fault of the checking program itself"
        ),
        Reason.DENIED_BY_DEVICE: Text(
            "camera trả lời là không hỗ trợ", "the camera answered that it does not support this"
        ),
        Reason.NOT_ASKED: Text("lần kiểm tra này không hỏi tới", "this check did not ask for it"),
        Reason.NO_CREDENTIAL: Text("chưa có tài khoản dùng được", "no usable account"),
        Reason.NO_PRIVILEGE: Text("tài khoản này không có quyền đó", "this account may not do that"),
        Reason.NO_PERMISSION: Text("chưa được phép kiểm tra", "no permission to check"),
        Reason.NO_CONSENT: Text("chủ camera chưa đồng ý", "the owner has not consented"),
        Reason.NO_DECLARATION: Text(
            "thiếu khai báo hoặc khai báo đã hết hạn", "a declaration is missing or lapsed"
        ),
        Reason.NO_VANTAGE: Text(
            "cần nhìn từ chỗ khác: từ mạng của camera hoặc từ Internet",
            "needs to be looked at from elsewhere: the camera's own network, or the Internet",
        ),
        Reason.WINDOW: Text("chưa dành thời gian đo", "no measuring time was given"),
        Reason.PROBATION: Text("cần theo dõi đủ 30 ngày", "needs 30 days of observation"),
    }
)

_FRAMES: Mapping[Verdict, Text] = MappingProxyType(
    {
        Verdict.PASS: Text("Đạt", "Met"),
        Verdict.FAIL: Text("Không đạt", "Not met"),
        Verdict.INCONCLUSIVE: Text("Chưa rõ", "Inconclusive"),
        Verdict.ERROR: Text("Lỗi khi kiểm tra", "The check could not run"),
        Verdict.NOT_CHECKED: Text("Chưa kiểm tra", "Not checked"),
        Verdict.NOT_APPLICABLE: Text("Không áp dụng cho camera này", "Does not apply to this camera"),
    }
)

_FORMS = (
    (
        re.compile(r"^(?P<step>.+) of (?P<peer>\S+): no answer in (?P<waited>[\d.]+) s\.?$"),
        "{peer} không trả lời bước {step} trong {waited} giây",
    ),
    (
        re.compile(r"^(?P<step>[^:]+): no answer in (?P<waited>[\d.]+) s\.?$"),
        "camera không trả lời bước {step} trong {waited} giây",
    ),
    (
        re.compile(r"^(?P<peer>\S+) refused the connection: nothing listens on port (?P<port>\d+)\.?$"),
        "{peer} từ chối kết nối: không có dịch vụ nào ở cổng {port}",
    ),
    (
        re.compile(
            r"^(?:not asked: )?(?:.+: )?(?P<peer>\S+) refused the supplied login \((?P<scheme>[\w-]+)\);"
            r" nothing more is tried before (?P<until>[\d:]+) UTC\.?$"
        ),
        "{peer} từ chối tài khoản đã cho ({scheme}); không thử lại trước {until} UTC",
    ),
    (re.compile(r"^(?P<peer>\S+) cannot be reached\.?$"), "không nối được tới {peer}"),
    (
        re.compile(r"^the address given is RTSP only; give onvif://host:port to check ONVIF\.?$"),
        "địa chỉ đã cho chỉ là RTSP; muốn kiểm tra ONVIF thì nhập onvif://máy:cổng",
    ),
    (
        re.compile(
            r"^the address given is of the maker's own interface; give onvif://host:port to check ONVIF\.?$"
        ),
        "địa chỉ đã cho là giao diện riêng của hãng; muốn kiểm tra ONVIF thì nhập onvif://máy:cổng",
    ),
    (
        re.compile(r"^(?P<step>[^:]+): (?P<peer>\S+) says that it does not support this\.?$"),
        "{peer} trả lời rằng không hỗ trợ {step}",
    ),
    (
        re.compile(r"^the device did not tell its model and firmware\.?$"),
        "camera không cho biết kiểu máy và phiên bản phần mềm",
    ),
    (
        re.compile(r"^(?P<step>[^:]+): (?P<number>\d+) MediaProfile\(s\), none for the sub stream\.?$"),
        "camera chỉ có {number} luồng hình, không có luồng phụ ({step})",
    ),
    (
        re.compile(r"^(?P<number>\d+) key frames? in (?P<waited>[\d.]+) s: two are needed\.?$"),
        "mới thấy {number} ảnh khoá trong {waited} giây, cần hai",
    ),
    (re.compile(r"^no credential was supplied\.?$"), "chưa nhập tài khoản"),
    (re.compile(r"^no time was left for the media window\.?$"), "không còn thời gian để đo luồng hình"),
    (
        re.compile(r"^no address of a sub-stream is known\.?$"),
        "chưa biết địa chỉ luồng phụ; nhập địa chỉ đó nếu camera có",
    ),
    (
        re.compile(r"^(?:not asked: )?no time was left for (?P<step>.+?)\.?$"),
        "không còn thời gian để hỏi {step}",
    ),
    (
        re.compile(
            r"^(?P<step>[^:]+): the device lists no (?P<service>\w+) service; nothing was declared\.?$"
        ),
        "camera không có dịch vụ {service} ({step}), và chưa ai khai báo",
    ),
    (
        re.compile(r"^(?P<step>[^:]+): the device lists no (?P<service>\w+) service\.?$"),
        "camera không có dịch vụ {service} ({step})",
    ),
    (
        re.compile(r"^(?:not asked: )?(?P<step>.+) is asked only after an accepted login\.?$"),
        "{step} chỉ được hỏi sau khi đăng nhập thành công",
    ),
    (
        re.compile(
            r"^the hub's list of known flaws says nothing about this maker \((?P<maker>[\w .-]+)\)\.?$"
        ),
        "danh sách lỗ hổng của nút chưa có hãng này ({maker})",
    ),
    (
        re.compile(
            r"^the address given does not speak TLS; give onvifs:// or rtsps:// where the camera has it\.?$"
        ),
        "địa chỉ đã cho không dùng TLS; nhập onvifs:// hoặc rtsps:// nếu camera có",
    ),
    (
        re.compile(r"^the device's words name no maker that is known here\.?$"),
        "camera không cho biết hãng nào mà nút nhận ra",
    ),
)
# Why facts that only a hub, or nobody, supplies are missing (hub/compliance/suppliers.py), as Vietnamese says it.
_ABSENCES: Mapping[str, str] = MappingProxyType(
    {
        "nothing was declared": "chưa ai khai báo",
        "known only to a hub in which the camera is enrolled": "chỉ nút đã tiếp nhận camera mới biết",
        "known only to a hub in which the camera is enrolled, and over time": (
            "chỉ nút đã tiếp nhận camera mới biết, sau một thời gian theo dõi"
        ),
        "no check between dusk and dawn saw a picture": "chưa lần kiểm tra nào vào ban đêm thấy được hình",
        "no check by day saw a picture": "chưa lần kiểm tra nào vào ban ngày thấy được hình",
        "no run between dusk and dawn saw a picture": "chưa lần kiểm tra nào vào ban đêm thấy được hình",
        "nobody watched the camera for so long in 30 days": "trong 30 ngày qua chưa ai xem liên tục đủ lâu",
        "events are pulled after admission, on municipal cameras": (
            "chỉ lấy sự kiện sau khi camera được nhận, và chỉ với camera của cơ quan"
        ),
        "to measure what the line could carry would load the owner's line; it is not done": (
            "đo sức tải của đường truyền sẽ làm nghẽn mạng của chủ camera nên không làm"
        ),
        "two sessions side by side need 30 s of a run of their own, after admission; no check makes one": (
            "hai phiên cùng lúc cần một lượt đo riêng 30 giây sau khi camera được nhận; chưa lần kiểm tra nào làm việc này"
        ),
        "old TLS is offered in a whole check only, where the address given is spoken over TLS": (
            "chỉ thử TLS cũ trong lần kiểm tra đầy đủ, khi địa chỉ đã cho dùng TLS"
        ),
        "the recordings of a day are not searched for gaps: their events would have to be read through the search service": (
            "chưa dò chỗ ngắt trong bản ghi của một ngày: cần đọc các sự kiện ghi hình qua dịch vụ tìm kiếm của camera"
        ),
        "no recording is replayed during a check: that takes a replay session, in which each frame's own time is read": (
            "không phát lại bản ghi trong lúc kiểm tra: cần một phiên phát lại để đọc giờ gắn trên từng khung hình"
        ),
        "no withdrawal was drilled for this camera": "chưa diễn tập rút lại đồng ý với camera này",
        "not seen from the camera's own network": "chưa nhìn từ mạng của camera",
        "no agent asks the router of the camera's network": "chưa có trạm nào hỏi bộ định tuyến ở mạng của camera",
        "no point outside the camera's network looks at it": "chưa có điểm nào ngoài mạng của camera nhìn vào",
        "the camera pushes its stream to the hub and cannot be dialled": "camera tự phát luồng lên nút, không gọi vào được",
        "no encoder pushed anything that could be measured": "chưa có bộ mã hoá nào phát nên chưa có gì để đo",
        "an encoder shows a token": "bộ mã hoá dùng mã phát thay cho tài khoản",
        "no agent sees the traffic of the camera's network": "chưa có trạm nào thấy lưu lượng ở mạng của camera",
    }
)
_WAITED = re.compile(r"(\d)\.(\d)")

# Why a rule does not apply, by the test that was observed false as `standards.finding` writes it.
_AWAY: Mapping[str, Text] = MappingProxyType(
    {
        "not target.interfaces contains onvif": Text(
            "camera này không nối bằng ONVIF", "this camera is not connected by ONVIF"
        ),
        "not any of target.interfaces: it in onvif, hikvision, dahua, axis, vigi, reolink, unifi": Text(
            "camera này không nối bằng ONVIF hay giao diện của hãng, nên không hỏi được",
            "this camera is connected neither by ONVIF nor by its maker's interface, so it cannot be asked",
        ),
        "not all of target.interfaces: it ne whip": Text(
            "camera này tự phát lên nút, không có cổng nào để nút gọi vào",
            "this camera pushes to the hub; there is nothing in it that the hub dials",
        ),
        "not recording.path ne none": Text(
            "camera này không lưu hình ở đâu", "this camera's pictures are kept nowhere"
        ),
        "not recording.recordings exists": Text(
            "camera không cho biết có bản ghi nào", "the camera tells of no recording"
        ),
        "not recording.mode eq continuous": Text(
            "camera không ghi liên tục", "the camera does not record continuously"
        ),
        "not stream.main.codec in H264, H265": Text(
            "luồng chính không phải H.264 hay H.265", "the main stream is neither H.264 nor H.265"
        ),
        "none of: stream.main.codec in H264, H265": Text(
            "luồng chính không phải H.264 hay H.265", "the main stream is neither H.264 nor H.265"
        ),
        "not stream.main.codec eq H264": Text("luồng chính không phải H.264", "the main stream is not H.264"),
        "not tls.version exists": Text("camera không dùng TLS", "the camera does not speak TLS"),
        "not event.times_utc exists": Text("camera không gửi sự kiện nào", "the camera delivered no event"),
        "not view.purpose_level exists": Text(
            "chưa khai mục đích quan sát", "no purpose of the view was declared"
        ),
        "none of: target.scheme ne rtsps; (target.interfaces contains onvif) and (target.scheme ne onvifs)": Text(
            "địa chỉ đã cho được mã hoá", "the address given is spoken encrypted"
        ),
    }
)

_BEFORE = "the check ended before: "


def detail_in(language: str, detail: str) -> str:
    """Return an adapter's sentence in a language; Vietnamese where its form is known, else as it is."""
    if language != "vi":
        return detail
    if detail in _ABSENCES:
        return _ABSENCES[detail]
    if detail.startswith(_BEFORE):
        return f"lần kiểm tra dừng trước đó: {detail_in(language, detail.removeprefix(_BEFORE))}"
    for form, vietnamese in _FORMS:
        match = form.match(detail)
        if match:
            parts = {
                name: _WAITED.sub(r"\1,\2", text) if name == "waited" else text
                for name, text in match.groupdict().items()
            }
            return vietnamese.format(**parts)
    return detail


def generic(verdict: Verdict, reason: Reason | None, detail: str, language: str) -> str:
    """Return the sentence for a finding whose rule has no own one: the verdict, the reason, the detail."""
    frame = _FRAMES[verdict].in_language(language)
    if verdict is Verdict.NOT_APPLICABLE and detail in _AWAY:
        return f"{frame}: {_AWAY[detail].in_language(language)}."
    if reason is None:
        return f"{frame}."
    said = detail_in(language, detail.removeprefix("not asked: ")).strip().rstrip(".")
    if said and (detail in _ABSENCES or any(form.match(detail) for form, _vietnamese in _FORMS)):
        return f"{frame}: {said}."
    text = f"{frame}: {REASON_WORDS[reason].in_language(language)}"
    return f"{text} ({said})." if said else f"{text}."
