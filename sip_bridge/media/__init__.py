"""Media without input or output: SDP, RTP, codecs, DTMF."""
