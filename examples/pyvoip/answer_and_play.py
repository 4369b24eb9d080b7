"""Answers every call, plays an announcement, and hangs up.

The announcement is a WAV file of 8-bit mono samples at 8000 Hz.

python answer_and_play.py SERVER PORT USER PASSWORD FILE
"""

import signal
import sys
import time
import wave

from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.error import InvalidStateError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter


class Call(VoIPCall):
    def ringing(self, invite_request):
        with wave.open(sys.argv[5], "rb") as announcement:
            samples = announcement.readframes(announcement.getnframes())
        try:
            self.answer()
            self.write_audio(samples)
            until = time.monotonic() + len(samples) / 8000 + 0.5
            while self.state == CallState.ANSWERED and time.monotonic() < until:
                time.sleep(0.05)
            self.hangup()
            print("played", flush=True)
        except InvalidStateError:
            print("the caller hung up first", flush=True)


if __name__ == "__main__":
    server, port, user, password = sys.argv[1:5]
    credentials = CredentialsManager()
    credentials.add(user, password)
    phone = VoIPPhone(VoIPPhoneParameter(server, int(port), user, credentials, bind_port=0, call_class=Call))
    end = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, end)  # also in the phone's threads: one of them could take it unseen
    phone.start()
    print(phone.get_status(), flush=True)
    signal.sigwait(end)
    phone.stop()
