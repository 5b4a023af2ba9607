"""The process that decodes, with the devices of ``tests.stand_in_device``."""

from __future__ import annotations

from daemon.decode import hardware
from daemon.scan import decode_cell
from tests.stand_in_device import open_by_name

if __name__ == "__main__":
    hardware.open_device = open_by_name
    decode_cell.run()
