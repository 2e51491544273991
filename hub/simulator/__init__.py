"""Scripted cameras: real ONVIF and RTSP servers on loopback that stand in for devices one does not own.

They share no protocol code with `adapters`: each side reads and writes the wire by itself, so that a mistake in
one is seen by the other. Look of a camera: `presets.toml`, or a file of one's own (`examples/scripted-camera`).
"""
