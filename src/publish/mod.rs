//! Alerts to files and brokers.
