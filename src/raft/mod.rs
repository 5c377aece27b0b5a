//! HashiCorp Raft on disk: log entries, configurations, stable keys.
