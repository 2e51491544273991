"""WS-Discovery (OASIS, April 2005): which ONVIF devices answer on the networks that this machine is attached to.

`messages` builds probes and reads replies without I/O, `found` joins what one device said, `interfaces` lists where
to ask, `search` asks. Discovery sends no credential and asks a device nothing but that it is there.
"""
