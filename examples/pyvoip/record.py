"""Answers every call, and writes what the caller says to a WAV file until it hangs up.

python record.py SERVER PORT USER PASSWORD FILE
"""

import signal
import sys
import wave

from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.error import InvalidStateError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter


class Call(VoIPCall):
    def ringing(self, invite_request):
        try:
            self.answer()
        except InvalidStateError:
            return
        with wave.open(sys.argv[5], "wb") as recording:
            recording.setnchannels(1)
            recording.setsampwidth(1)
            recording.setframerate(8000)
            while self.state == CallState.ANSWERED:
                recording.writeframes(self.read_audio())
        print("recorded", flush=True)


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
