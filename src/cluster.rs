//! What the operator asks for: the servers of a cluster, parsed and validated. No bytes, no I/O.
