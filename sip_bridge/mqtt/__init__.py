"""MQTT: the contract, the client session and the embedded broker."""
