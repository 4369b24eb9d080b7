"""The bridge: phone event -> publish, command -> phone call. Knows neither SIP bytes nor sockets."""
