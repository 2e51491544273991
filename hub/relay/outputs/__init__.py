"""Other ways out than WebRTC: MSE over WebSocket and RTSP."""
