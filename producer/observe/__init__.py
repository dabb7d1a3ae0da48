"""What the service does at this moment, for those who run it: metrics, readiness, the status page, the audit stream."""
