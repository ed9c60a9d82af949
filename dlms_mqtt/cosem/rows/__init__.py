"""The interface classes as rows, one file for each family of the Blue Book; `ROWS` is all of them."""

from __future__ import annotations

from dlms_mqtt.cosem.rows import access, data, network, payment, plc, ports, time
from dlms_mqtt.cosem.rows.row import Row

ROWS: tuple[Row, ...] = data.ROWS + access.ROWS + time.ROWS + payment.ROWS + ports.ROWS + network.ROWS + plc.ROWS
