"""``python -m sip_bridge`` is the command ``sip-bridge``."""

from sip_bridge.cli import main

if __name__ == "__main__":
    main()
