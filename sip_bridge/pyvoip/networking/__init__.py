"""Addresses, transports and connections."""
