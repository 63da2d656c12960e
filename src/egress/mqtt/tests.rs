//! Against a real mosquitto.
