"""Answers every call, and tells what becomes of it.

python auto_answer.py SERVER PORT USER PASSWORD
"""

import signal
import sys

from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.VoIP.call import VoIPCall
from sip_bridge.pyvoip.VoIP.error import InvalidStateError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter


class Call(VoIPCall):
    def ringing(self, invite_request):
        caller = invite_request.headers["From"]
        print(f"{caller['display-name'] or caller['user']} calls", flush=True)
        try:
            self.answer()
        except InvalidStateError:
            print("too late", flush=True)

    def bye(self, request):
        super().bye(request)
        print("hung up", flush=True)


if __name__ == "__main__":
    server, port, user, password = sys.argv[1:]
    credentials = CredentialsManager()
    credentials.add(user, password)
    phone = VoIPPhone(VoIPPhoneParameter(server, int(port), user, credentials, bind_port=0, call_class=Call))
    end = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, end)  # also in the phone's threads: one of them could take it unseen
    phone.start()
    print(phone.get_status(), flush=True)
    signal.sigwait(end)
    phone.stop()
