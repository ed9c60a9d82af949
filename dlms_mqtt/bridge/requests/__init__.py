"""What is asked over MQTT: writes, actions and requests to a meter or to the bridge itself."""
