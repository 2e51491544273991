"""Debian's GStreamer RTSP server with a test picture. Run by the system's Python, which has `gi`.

Prints one JSON line ``{"port": ..., "path": "/live"}`` when it listens, and ends when its standard input closes.
"""

import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402  the versions come first

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate={kbps} key-int-max={gop} bframes={b} "
    "! video/x-h264,profile={profile} ! rtph264pay name=pay0 pt=96 config-interval={config}",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast bitrate={kbps} key-int-max={gop} "
    "! rtph265pay name=pay0 pt=96 config-interval={config}",
    "mjpeg": "jpegenc quality=60 ! rtpjpegpay name=pay0 pt=26",
}


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--protocols", default="tcp|udp")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=25)
    parser.add_argument("--kbps", type=int, default=1000)
    parser.add_argument("--b-frames", type=int, default=0)
    parser.add_argument("--config-interval", type=int, default=-1)
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--aac", action="store_true", help="the sound as AAC instead of A-law")
    parser.add_argument("--basic", action="store_true", help="Basic instead of Digest")
    parser.add_argument("--certificate", help="PEM file with certificate and key: serve by TLS only")
    told = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    encoder = ENCODERS[told.codec].format(
        kbps=told.kbps,
        gop=told.gop,
        b=told.b_frames,
        profile="main" if told.b_frames else "constrained-baseline",
        config=told.config_interval,
    )
    if told.b_frames:
        encoder = encoder.replace("tune=zerolatency ", "b-adapt=false ")
    coder = "voaacenc ! rtpmp4gpay name=pay1 pt=97" if told.aac else "alawenc ! rtppcmapay name=pay1 pt=8"
    audio = f" audiotestsrc is-live=true ! audioconvert ! audioresample ! {coder}"
    factory.set_launch(
        f"( videotestsrc is-live=true pattern=ball background-color=0xff3a6ea5 "
        f"! video/x-raw,width={told.width},height={told.height},framerate={told.fps}/1 ! videoconvert "
        f"! video/x-raw,format=I420 ! {encoder}{audio if told.audio else ''} )"
    )
    factory.set_shared(True)
    names = {"tcp": GstRtsp.RTSPLowerTrans.TCP, "udp": GstRtsp.RTSPLowerTrans.UDP}
    protocols = GstRtsp.RTSPLowerTrans(0)
    for name in told.protocols.split("|"):
        protocols |= names[name]
    factory.set_protocols(protocols)
    if told.user or told.certificate:
        auth = GstRtspServer.RTSPAuth()
        if told.certificate:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(told.certificate))
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if told.user and told.basic:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(told.user, told.password), token)
        elif told.user:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(told.user, told.password, token)
        else:
            auth.set_default_token(token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    loop = GLib.MainLoop()

    def watch() -> None:
        sys.stdin.read()
        loop.quit()

    threading.Thread(target=watch, daemon=True).start()
    print(json.dumps({"port": server.get_bound_port(), "path": "/live"}), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
