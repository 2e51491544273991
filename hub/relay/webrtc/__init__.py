"""How browsers and pushing encoders are spoken to: ICE, SDP, RTCP, one viewer."""
