//! How far a long job is, for whoever wants to know.

/// Is told how far a job is, in bytes.
pub trait Progress {
    /// So many bytes more are to be done.
    fn expect(&self, bytes: u64);
    /// So many more are done.
    fn advance(&self, bytes: u64);
}

/// Nobody wants to know.
impl Progress for () {
    fn expect(&self, _: u64) {}
    fn advance(&self, _: u64) {}
}
