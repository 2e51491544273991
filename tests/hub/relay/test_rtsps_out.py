"""RTSP over TLS: foreign clients play, the certificate is renewed without a restart, a cut holds, and strangers get nothing."""

import asyncio
import contextlib
import os
import shutil
import ssl
from pathlib import Path

import av
import pytest
from certificates import camera_pem
from test_rtsp_out import TOKEN, Camera, Client, until, with_output

from hub.relay.outputs import tls_door
from hub.relay.outputs.tls_door import Certificate, CertificateRefused


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A certificate and its key in one file."""
    return camera_pem(tmp_path / "hub.pem")


def trusting(pem: Path) -> ssl.SSLContext:
    """Return what a recipient that knows this certificate uses."""
    context = ssl.create_default_context(cafile=str(pem))
    context.check_hostname = False
    return context


def test_ffmpeg_plays_over_tls(pem: Path) -> None:
    """Described, set up and played inside TLS; the worker knows the recipient's own address; its leaving is told."""

    async def work(camera: Camera, port: int) -> int:
        def watch() -> int:
            with av.open(f"rtsps://127.0.0.1:{port}/{TOKEN}", timeout=30) as container:
                frames = (frame for frame, _ in zip(container.decode(video=0), range(5), strict=False))
                return sum(frame.width == 320 for frame in frames)

        seen = await asyncio.to_thread(watch)
        await until(lambda: camera.gone)
        assert camera.gone == [("view-1", "viewer_left")]
        return seen

    assert with_output(work, certificate=Certificate(pem, pem)) == 5


@pytest.mark.gstreamer
def test_gstreamer_plays_over_tls(pem: Path) -> None:
    """Another independent client does too."""
    program = shutil.which("gst-launch-1.0")
    if program is None:
        pytest.skip("gstreamer: needs Debian's gstreamer1.0-tools")

    async def work(camera: Camera, port: int) -> tuple[int, str]:
        line = (
            f"rtspsrc location=rtsps://127.0.0.1:{port}/{TOKEN} protocols=tcp tls-validation-flags=0 latency=0 "
            "! decodebin ! fakesink num-buffers=10 sync=false"
        )
        process = await asyncio.create_subprocess_exec(
            program, "-q", *line.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode(errors="replace")

    status, said = with_output(work, certificate=Certificate(pem, pem))
    assert status == 0, said


def test_a_renewed_certificate_is_used_by_the_next_connection_and_a_broken_one_never(
    pem: Path, tmp_path: Path
) -> None:
    """Who trusts the new one alone gets in after it was written; half of a pair changes nothing; who plays goes on."""
    certificate = Certificate(pem, pem)
    old = trusting(pem)

    async def work(camera: Camera, port: int) -> None:
        uri = f"rtsps://127.0.0.1:{port}/{TOKEN}"
        async with Client.connect(port, old) as playing:
            assert await playing.play(uri) == 200
            pem.write_bytes(pem.read_bytes()[:300])
            async with Client.connect(port, old) as client:
                assert (await client.ask("OPTIONS", uri))[0] == 200
            os.replace(camera_pem(tmp_path / "new.pem"), pem)
            async with Client.connect(port, trusting(pem)) as client:
                assert (await client.ask("OPTIONS", uri))[0] == 200
            with pytest.raises(ssl.SSLCertVerificationError):
                async with Client.connect(port, old):
                    pass
            assert len(await playing.reader.readexactly(5000)) == 5000

    with_output(work, certificate=certificate)


@pytest.mark.long
def test_an_end_by_the_hub_closes_the_connection_and_throws_away_what_waits(pem: Path) -> None:
    """One that takes nothing is hung up on all the same, and what was written for it does not come later."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port, trusting(pem)) as client:
            assert await client.play(f"rtsps://127.0.0.1:{port}/{TOKEN}") == 200
            assert await client.reader.readexactly(1) == b"$"
            client.writer.transport.pause_reading()
            (reader,) = camera.readers.values()
            while reader.slow_since_s is None:  # megabytes, as much as the kernels of both sides keep
                for _ in range(20):
                    camera.step()
                await asyncio.sleep(0)
            (passing,) = camera.door._passing
            camera.end("paused")
            await until(passing.done)
            client.writer.transport.resume_reading()
            got = 0
            with contextlib.suppress(OSError):
                while data := await client.reader.read(1 << 16):
                    got += len(data)
            assert got < reader.octets

    with_output(work, certificate=Certificate(pem, pem))


@pytest.mark.parametrize("token", ["another-token-of-nobody", "short"])
def test_a_refusal_arrives_whole(pem: Path, token: str) -> None:
    """404 inside TLS, then the end."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port, trusting(pem)) as client:
            assert (await client.ask("DESCRIBE", f"rtsps://127.0.0.1:{port}/{token}"))[0] == 404
            assert await client.reader.read() == b""
        await until(lambda: not camera.door._passing)

    with_output(work, certificate=Certificate(pem, pem))


@pytest.mark.parametrize(
    "said",
    [b"OPTIONS rtsp://h/ RTSP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b""],
)
def test_what_speaks_no_tls_is_hung_up_on(pem: Path, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain RTSP included: a token must not be asked for in the clear on this port."""
    monkeypatch.setattr(tls_door, "WITHIN_S", 0.5)

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port) as client:
            client.writer.write(said)
            with contextlib.suppress(OSError):
                assert b"RTSP" not in await client.reader.read()
        await until(lambda: camera.door.turned_away == 1)
        assert len(camera.output) == 0

    with_output(work, certificate=Certificate(pem, pem))


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"A" * 5000])
def test_what_is_not_rtsp_inside_tls_is_hung_up_on(pem: Path, said: bytes) -> None:
    """No worker ever sees it."""

    async def work(camera: Camera, port: int) -> None:
        async with Client.connect(port, trusting(pem)) as client:
            client.writer.write(said)
            with contextlib.suppress(OSError):
                assert await client.reader.read() == b""
        await until(lambda: camera.door.turned_away == 1)
        assert len(camera.output) == 0

    with_output(work, certificate=Certificate(pem, pem))


def test_a_certificate_that_cannot_be_used_is_refused_by_name(pem: Path, tmp_path: Path) -> None:
    """Missing, no PEM, another's key: the sentence names the file."""
    other = camera_pem(tmp_path / "other.pem")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for chain, key in ((tmp_path / "none.pem", pem), (empty, empty), (pem, empty)):
        with pytest.raises(CertificateRefused, match=str(chain)):
            Certificate(chain, key)
    assert Certificate(other, other)
