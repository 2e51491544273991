"""What is known about makers of cameras, as data: RTSP templates, families, banners, quirks.

Pure: values in, values out, no socket. Imports no adapter; adapters, the registry and the hub may import it. Nothing
here is ever walked down: a template is picked for one named maker, and a banner is only a hint.
"""
