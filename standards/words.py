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
            "cần kiểm tra từ mạng của camera", "needs a probe on the camera's own network"
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
    (re.compile(r"^no credential was supplied\.?$"), "chưa nhập tài khoản"),
    (re.compile(r"^no time was left for the media window\.?$"), "không còn thời gian để đo luồng hình"),
    (
        re.compile(r"^no address of a sub-stream is known\.?$"),
        "chưa biết địa chỉ luồng phụ; nhập địa chỉ đó nếu camera có",
    ),
)
_WAITED = re.compile(r"(\d)\.(\d)")


_BEFORE = "the check ended before: "


def detail_in(language: str, detail: str) -> str:
    """Return an adapter's sentence in a language; Vietnamese where its form is known, else as it is."""
    if language != "vi":
        return detail
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
    if reason is None:
        return f"{frame}."
    said = detail_in(language, detail).strip().rstrip(".")
    if said and any(form.match(detail) for form, _vietnamese in _FORMS):
        return f"{frame}: {said}."
    text = f"{frame}: {REASON_WORDS[reason].in_language(language)}"
    return f"{text} ({said})." if said else f"{text}."
