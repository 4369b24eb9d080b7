"""What both sides of event notification refuse within a subscription's dialog (RFC 3261 §12.2.2, §8.2)."""

from sip_bridge.sip.capabilities import unsupported_extensions
from sip_bridge.sip.dialog import Dialog
from sip_bridge.sip.dispatcher import is_identity_encoded
from sip_bridge.sip.status import SIPStatus
from sip_bridge.sip.transactions.layer import ServerTransaction


def is_refused(transaction: ServerTransaction, dialog: Dialog | None, method: str, now: float) -> bool:
    """Answer a request that is out of order, needs what we lack, or is not of the one method that belongs here."""
    request = transaction.request
    if dialog is not None and not dialog.is_in_order(request):
        transaction.respond(SIPStatus.SERVER_INTERNAL_ERROR, now, phrase="CSeq is not higher")
    elif required := unsupported_extensions(request):
        transaction.respond(SIPStatus.BAD_EXTENSION, now, headers=[("Unsupported", required)])
    elif request.method != method:
        transaction.respond(SIPStatus.METHOD_NOT_ALLOWED, now, headers=[("Allow", method)])
    elif not is_identity_encoded(request):
        transaction.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, now, headers=[("Accept-Encoding", "identity")])
    else:
        return False
    return True
