"""A page that pushes: canvas and tone by RTCPeerConnection, as a browser's encoder sends them. The test carries the offer."""

PAGE = """() => {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  let count = 0;
  window.offer = async ({codecs, sound, encodings, width, height}) => {
    window.pc = new RTCPeerConnection();
    canvas.width = width; canvas.height = height;
    setInterval(() => {
      context.fillStyle = "#505050"; context.fillRect(0, 0, canvas.width, canvas.height);
      context.fillStyle = "#fff"; context.fillRect(count++ * 8 % canvas.width, 0, 32, canvas.height);
    }, 1000 / 30);
    const video = pc.addTransceiver(canvas.captureStream(30).getVideoTracks()[0], {
      direction: "sendonly", ...(encodings ? {sendEncodings: encodings} : {})});
    video.setCodecPreferences(
      RTCRtpSender.getCapabilities("video").codecs.filter((one) => codecs.includes(one.mimeType.slice(6))));
    if (sound) {
      const audio = new AudioContext(), tone = audio.createOscillator(), out = audio.createMediaStreamDestination();
      tone.connect(out); tone.start();
      pc.addTransceiver(out.stream.getAudioTracks()[0], {direction: "sendonly"});
    }
    await pc.setLocalDescription(await pc.createOffer());
    return pc.localDescription.sdp;
  };
  window.answer = (text) => { window.answered = text; return pc.setRemoteDescription({type: "answer", sdp: text}); };
  window.restart = async () => {
    pc.restartIce();
    await pc.setLocalDescription(await pc.createOffer());
    return pc.localDescription.sdp.split("\\r\\n").filter((line) => /^(a=ice-|a=mid:|m=)/.test(line)).join("\\r\\n") + "\\r\\n";
  };
  window.restarted = (fragment) => {
    const said = (name) => fragment.match(new RegExp("a=ice-" + name + ":.*"))[0].trim();
    return window.answer(answered.replace(/a=ice-ufrag:.*/g, said("ufrag")).replace(/a=ice-pwd:.*/g, said("pwd")));
  };
  window.resize = (width, height) => { canvas.width = width; canvas.height = height; };
  window.sent = async () => {
    const told = {state: pc.connectionState, layers: 0};
    for (const item of (await pc.getStats()).values()) {
      if (item.type === "outbound-rtp" && item.kind === "video" && item.bytesSent) {
        told.layers++;
        Object.assign(told, {frames: item.framesEncoded, width: item.frameWidth, target: item.targetBitrate,
          nacks: item.nackCount, again: item.retransmittedPacketsSent, keys: item.keyFramesEncoded});
      }
    }
    return told;
  };
}"""
