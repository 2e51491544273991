"""The bounds of the decode process, known to both sides."""

from typing import Final

MIB: Final = 1 << 20
LENGTH: Final = 4  # bytes of the length in front of each message, big-endian
CODECS: Final = ("H264", "H265", "JPEG", "MPEG4")  # nothing else is ever decoded
MAX_PICTURE: Final = 8 * MIB  # bytes of one coded picture; a 4K key frame of a generous camera has 2 MiB
MAX_JOB: Final = 24 * MIB  # bytes of all coded pictures of one job
MAX_PICTURES: Final = 32  # pictures of one job
MAX_NALS: Final = 1024  # NAL units of one picture: H.264 level 6.2 allows fewer slices
MAX_SIDE_PX: Final = 8192  # width and height
MAX_PIXELS: Final = 36_000_000  # the largest camera pictures on sale have 33 million (7680x4320)
MAX_STILL_PX: Final = 3840  # width of a still as it is handed on
MAX_JPEG: Final = 8 * MIB  # bytes of a still as it is handed on
MAX_RECODED: Final = 4 * MIB  # bytes of what one unit brings after recoding
