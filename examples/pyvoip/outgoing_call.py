"""Calls a number, tells how that goes, and stays until the other party hangs up.

python outgoing_call.py SERVER PORT USER PASSWORD NUMBER
"""

import sys
import time

from sip_bridge.pyvoip.credentials import CredentialsManager
from sip_bridge.pyvoip.VoIP.call import CallState, VoIPCall
from sip_bridge.pyvoip.VoIP.phone import VoIPPhone, VoIPPhoneParameter


class Call(VoIPCall):
    def progress(self, request):
        super().progress(request)
        print("progress", flush=True)

    def answered(self, request):
        super().answered(request)
        print("answered", flush=True)

    def busy(self, request):
        super().busy(request)
        print("busy", flush=True)

    def bye(self, request):
        super().bye(request)
        print("hung up", flush=True)


if __name__ == "__main__":
    server, port, user, password, number = sys.argv[1:]
    credentials = CredentialsManager()
    credentials.add(user, password)
    phone = VoIPPhone(VoIPPhoneParameter(server, int(port), user, credentials, bind_port=0, call_class=Call))
    phone.start()
    try:
        call = phone.call(number)
        while call.state != CallState.ENDED:
            time.sleep(0.05)
    finally:
        phone.stop()
