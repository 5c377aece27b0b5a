//! Staging, fsync, swap and journal: the only place that replaces anything.
