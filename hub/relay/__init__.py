"""The relay: one pull per camera, packetised once, fanned out to every viewer over WebRTC.

Inside a worker process: `source` pulls a camera, `packetise` turns its access units into RTP payloads, `ring` keeps
them, `fanout` sends them to `viewer`s, `ice`, `sdp` and `transport` connect those, `engine` ties it together and
`worker` talks to the hub. In the hub process: `service` starts and supervises the worker. Nothing here opens the
store or the master key; `transport` is the only module that touches private names of aiortc and pylibsrtp.
"""
