"""A call's figures as MQTT tells them."""

from sip_bridge.bridge.translate import quality
from sip_bridge.media.rtp import ReceptionStatistics
from sip_bridge.mqtt.contract import RTPQuality


def test_figures_are_rounded_and_what_nobody_measured_is_none() -> None:
    assert quality(ReceptionStatistics(packets_sent=3)) == RTPQuality(sent=3)
    measured = ReceptionStatistics(
        packets_sent=500,
        packets_received=490,
        packets_lost=10,
        packets_late=2,
        jitter_ms=1.23456,
        round_trip_ms=20.9876,
        rating=80.0,
        mos=4.0242,
        remote_lost=7,
        remote_jitter_ms=3.3333,
    )
    assert quality(measured) == RTPQuality(
        packets=490,
        lost=10,
        late=2,
        sent=500,
        jitter_ms=1.23,
        round_trip_ms=20.99,
        mos=4.02,
        remote_lost=7,
        remote_jitter_ms=3.33,
    )
