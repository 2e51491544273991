"""Coded pictures to H.264, coded sound to Opus. Runs in the recoding process only.

The decoder is one of four by its name, one thread, its picture's size read by our own parsers first; the coder has no
look-ahead and no B pictures, so that each picture in gives its picture out (`coders/`).
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from hub.decode import limits
from hub.decode.coders.coding import Coding
from hub.decode.coders.messages import Wanted
from hub.decode.coders.remote import RemoteCoder
from hub.decode.errors import NotDecodable, TooLarge
from hub.decode.masks import Painter
from hub.decode.recode_messages import Coded, Coder, OpenPicture, OpenSound
from hub.decode.sizes import bound, check_declared

_DECODERS: Final = {"H264": "h264", "H265": "hevc", "JPEG": "mjpeg", "MPEG4": "mpeg4"}
_START: Final = b"\x00\x00\x00\x01"
_OPUS_HZ: Final = 48_000
_OPUS_FRAME: Final = 960  # samples of 20 ms
_SOUND_DECODERS: Final = {"MPEG4-GENERIC": "aac"}


def prove(how: OpenPicture | OpenSound) -> None:
    """Code a grey picture, or silence: shows that the coder works, and loads whatever loads late.

    Raises:
        NotDecodable: it does not work.
    """
    if isinstance(how, OpenSound):
        coder = SoundRecoder(how).coder
        silence = AudioFrame("s16", "mono", _OPUS_FRAME)
        silence.sample_rate, silence.pts = _OPUS_HZ, None
        for channel in silence.planes:
            channel.update(bytes(channel.buffer_size))
        given = len([*coder.encode(silence), *coder.encode(None)])
    else:
        grey = VideoFrame(64, 48, "yuvj420p")
        for plane in grey.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        given = len(PictureRecoder(how).code(grey, 0, key=True))
    if not given:
        raise NotDecodable("the coder gave nothing")


class PictureRecoder:
    """Decodes one stream of pictures and codes it anew as H.264."""

    def __init__(self, how: OpenPicture, remote: RemoteCoder | None = None) -> None:
        """`remote` is the coding process beside this one, where there is one."""
        name = _DECODERS.get(how.codec)
        if name is None:
            raise NotDecodable(f"pictures coded as {how.codec[:20] or 'nothing known'} are not recoded")
        self._how = how
        self._painter = Painter(how.masks)
        self._decoder = cast(VideoCodecContext, VideoCodecContext.create(name, "r"))
        self._decoder.thread_count = 1
        self._decoder.options = {"max_pixels": str(limits.MAX_PIXELS), "threads": "1"}
        self._sets = b"".join(_START + one for one in how.parameter_sets)
        self._coding = Coding(remote)
        self._source = self._size = (0, 0)  # of the camera's pictures, of ours
        self._last_coded: int | None = None
        self._last_key: int | None = None
        self._sized = False

    def take(self, timestamp: int, nals: Sequence[bytes], *, show: bool, key: bool) -> list[Coded]:
        """Decode one access unit and return what it brought; nothing where `show` is false or it came too soon.

        Raises:
            NotDecodable, TooLarge: it was left out.
            MemoryError: the process may not have as much memory as it took.
        """
        if not 0 < len(nals) <= limits.MAX_NALS or sum(map(len, nals)) > limits.MAX_PICTURE:
            raise TooLarge("the coded picture has more bytes or more units than allowed")
        annex_b = self._how.codec in {"H264", "H265"}
        data = b"".join(_START + nal for nal in nals) if annex_b else b"".join(nals)
        if self._sets:
            data, self._sets = self._sets + data, b""
        self._check_size(data)
        packet = av.Packet(data)
        packet.pts = packet.dts = timestamp
        packet.time_base = Fraction(1, self._how.clock_hz)
        try:
            frames = self._decoder.decode(packet)
        except av.error.MemoryError as error:
            raise MemoryError from error
        except av.error.FFmpegError as error:
            raise NotDecodable(f"the decoder refuses it: {type(error).__name__}") from error
        out: list[Coded] = []
        for frame in frames:
            if show and not frame.is_corrupt:
                out += self.code(frame, timestamp, key=key and not out)
        return out

    def _check_size(self, data: bytes) -> None:
        """Refuse a size beyond the bounds before FFmpeg sees it; pictures after the first may leave it out."""
        try:
            check_declared(self._how.codec, data)
            self._sized = True
        except TooLarge:
            raise
        except NotDecodable:
            if not self._sized:
                raise

    def code(self, frame: VideoFrame, arrived: int, *, key: bool) -> list[Coded]:
        """Code one decoded picture that arrived at that timestamp.

        Raises:
            NotDecodable, TooLarge: it was left out.
        """
        bound(frame.width, frame.height)
        at = frame.pts if frame.pts is not None else arrived
        if self._last_coded is not None:
            least = self._how.clock_hz / self._how.max_fps * 0.9
            if at <= self._last_coded or (at - self._last_coded < least and not key):
                return []
        self._expect(frame)
        ready = frame.reformat(*self._size, "yuv420p", threads=1)
        if self._how.masks:
            self._painter.paint(ready)
        due = self._last_key is None or at - self._last_key >= self._how.key_every_s * self._how.clock_hz
        self._last_coded = at
        coded = self._coding.code(ready, at, key=key or due)
        if any(one.key for one in coded):
            self._last_key = at
        return coded

    def news(self) -> Coder | None:
        """Return what codes now, where that is not yet told."""
        return self._coding.news()

    def _expect(self, frame: VideoFrame) -> None:
        """Prepare the coder: anew where the camera changed its picture's size."""
        if self._source == (frame.width, frame.height):
            return
        width = min(frame.width, self._how.max_width) // 2 * 2
        height = round(frame.height * width / frame.width) // 2 * 2
        self._size = max(16, width), max(16, height)
        how = self._how
        self._coding.expect(Wanted(*self._size, how.clock_hz, how.max_fps, how.bit_s))
        self._source = (frame.width, frame.height)
        self._last_key = None


class SoundRecoder:
    """Decodes one track of sound and codes it anew as Opus."""

    def __init__(self, how: OpenSound) -> None:
        name = _SOUND_DECODERS.get(how.codec)
        if name is None:
            raise NotDecodable(f"sound coded as {how.codec[:20] or 'nothing known'} is not recoded")
        if not how.configuration:
            raise NotDecodable("the camera's SDP lacks the configuration of its AAC")
        self._how = how
        self._decoder = cast(AudioCodecContext, AudioCodecContext.create(name, "r"))
        self._decoder.extradata = how.configuration
        self._decoder.thread_count = 1
        self.coder = AudioCodecContext.create("libopus", "w")
        self.coder.sample_rate = _OPUS_HZ
        self.coder.layout = "mono"
        self.coder.format = "s16"
        self.coder.bit_rate = how.bit_s
        self.coder.thread_count = 1
        self.coder.options = {"application": "lowdelay", "frame_duration": "20"}
        self._resampler = AudioResampler("s16", "mono", _OPUS_HZ, frame_size=_OPUS_FRAME)
        self._begun: int | None = None  # the camera's timestamp of our sample 0
        self._samples = 0

    def take(self, timestamp: int, nals: Sequence[bytes], *, show: bool, key: bool) -> list[Coded]:
        """Decode one frame of sound; timestamps going out count 48 kHz.

        Raises:
            NotDecodable: it was left out.
        """
        del key
        begun = timestamp if self._begun is None else self._begun
        expected = round((timestamp - begun) * _OPUS_HZ / self._how.clock_hz)
        if self._begun is None or abs(expected - self._samples) > _OPUS_HZ // 2:
            begun, self._samples = timestamp, 0  # the camera's clock jumped, or sound was missing
        self._begun = begun
        try:
            frames = self._decoder.decode(av.Packet(b"".join(nals)))
            out = []
            for frame in frames:
                frame.pts = None
                for piece in self._resampler.resample(frame):
                    piece.pts = None
                    for packet in self.coder.encode(piece):
                        origin = round(begun * _OPUS_HZ / self._how.clock_hz)
                        if show:
                            out.append(Coded(origin + self._samples, (bytes(packet),), True))
                        self._samples += _OPUS_FRAME
        except av.error.MemoryError as error:
            raise MemoryError from error
        except (av.error.FFmpegError, ValueError) as error:
            raise NotDecodable(f"the sound cannot be recoded: {type(error).__name__}") from error
        return out
