"""A voice menu: 1 is for sales, * for the operator, # ends the call. What would be announced is printed.

python ivr.py SERVER PORT USER PASSWORD
"""

import signal
import sys
import time

from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.error import InvalidStateError
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter

MENU = {"1": "sales", "*": "operator"}


class Call(VoIPCall):
    def ringing(self, invite_request):
        try:
            self.answer()
            while self.state == CallState.ANSWERED:
                key = self.get_dtmf()
                if key == "#":
                    self.hangup()
                    print("goodbye", flush=True)
                elif key:
                    print(MENU.get(key, "no such choice"), flush=True)
                else:
                    time.sleep(0.05)
        except InvalidStateError:
            print("the caller hung up", flush=True)


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
