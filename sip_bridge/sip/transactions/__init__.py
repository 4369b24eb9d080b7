"""The four transaction machines of RFC 3261 §17, each one figure of the RFC."""
