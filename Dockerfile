# The bridge as a container image, in two forms that share all layers but the last:
#
#   bridge (default)  for Docker, Podman, Compose, Kubernetes: an unprivileged user, /config in, /data kept
#   app               for Home Assistant: options and broker come from the Supervisor
#
# BASE is an image with Python 3.11 or newer: Debian slim here, Home Assistant's own for the app
# (ghcr.io/home-assistant/base-python:3.14-alpine3.23). Nothing is compiled: every dependency has wheels for both
# architectures and both C libraries. A folder `wheels` beside this file is used before the package index; with
# PIP_NO_INDEX=1 it is the only source. PACKAGE is what pip is told to install: the sources here, or dlms-mqtt==VERSION.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
ARG PACKAGE=/src
ARG PIP_NO_INDEX=
COPY pyproject.toml README.md LICENSE CHANGELOG.md config.example.yaml wheel[s] /src/
COPY dlms_mqtt /src/dlms_mqtt
COPY docs /src/docs
COPY custom_components /src/custom_components
# pip goes again: what runs needs none. TZDIR below wants a path without a version.
RUN python3 -m venv /opt/dlms-mqtt \
    && /opt/dlms-mqtt/bin/python -m pip install --no-cache-dir --only-binary=:all: --find-links=/src \
        "${PACKAGE}" "dlms-mqtt[esphome]" \
    && /opt/dlms-mqtt/bin/python -m pip uninstall --quiet --yes setuptools pip \
    && ln -s "$(/opt/dlms-mqtt/bin/python -c 'import tzdata, pathlib; print(pathlib.Path(tzdata.__file__).parent)')/zoneinfo" \
        /opt/dlms-mqtt/zoneinfo

FROM ${BASE} AS runtime
ARG VERSION=
ARG SOURCE=
COPY --from=build /opt/dlms-mqtt /opt/dlms-mqtt
# The bridge writes a sign of life into this file while its event loop turns, and `dlms-mqtt alive` looks at it: the
# same that feeds systemd's watchdog elsewhere. Shared memory, so that no flash card is worn.
ENV PATH=/opt/dlms-mqtt/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TZDIR=/opt/dlms-mqtt/zoneinfo \
    STATE_DIRECTORY=/data \
    DLMS_MQTT_ALIVE=/dev/shm/dlms-mqtt.alive
LABEL org.opencontainers.image.title="dlms-mqtt" \
      org.opencontainers.image.description="Electricity meters over DLMS/COSEM into MQTT and Home Assistant" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}"
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["dlms-mqtt", "alive"]
STOPSIGNAL SIGTERM

FROM runtime AS app
ARG VERSION=
LABEL io.hass.type="app" \
      io.hass.version="${VERSION}" \
      io.hass.name="DLMS meters over MQTT"
# The Supervisor starts apps as root and gives them the serial ports; app/apparmor.txt says what that root may do.
ENTRYPOINT ["/opt/dlms-mqtt/bin/python", "-m", "dlms_mqtt.bridge.supervisor"]

FROM runtime AS bridge
# By number: 20 is the group of serial ports (dialout) in Debian and in Alpine, and no tool of either is needed.
RUN mkdir -p /data /config && chown 10000:20 /data && chmod 0700 /data
USER 10000:20
WORKDIR /config
VOLUME /data
ENTRYPOINT ["dlms-mqtt"]
CMD ["run", "--config", "/config/config.yaml"]
