//! The keys that raft must not forget: its term, and whom it voted for.

use super::error::Error;
use super::log::Term;

/// The highest term the node has seen. (hashicorp/raft raft.go keyCurrentTerm)
pub const CURRENT_TERM: &str = "CurrentTerm";
/// The term of the last vote. (hashicorp/raft raft.go keyLastVoteTerm)
pub const LAST_VOTE_TERM: &str = "LastVoteTerm";
/// The *address* of the candidate that got it. (hashicorp/raft raft.go keyLastVoteCand, persistVote)
pub const LAST_VOTE_CAND: &str = "LastVoteCand";

/// What the bucket `conf` of raft-stable.db says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StableState {
    /// None is 0 for raft.
    pub current_term: Option<Term>,
    /// Voting writes it before the candidate, in a transaction of its own.
    pub last_vote_term: Option<Term>,
    /// Text of an address. A live node writes the resolved one, so it need not be that of the configuration.
    pub last_vote_cand: Option<Vec<u8>>,
    /// Keys that raft up to 1.8.0 doesn't have.
    pub other: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StableState {
    /// Takes one pair of the bucket.
    ///
    /// # Errors
    /// When a term has not 8 bytes: raft-boltdb panics on less, and would cut more off.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if key == CURRENT_TERM.as_bytes() {
            self.current_term = Some(term(CURRENT_TERM, value)?);
        } else if key == LAST_VOTE_TERM.as_bytes() {
            self.last_vote_term = Some(term(LAST_VOTE_TERM, value)?);
        } else if key == LAST_VOTE_CAND.as_bytes() {
            self.last_vote_cand = Some(value.to_vec());
        } else {
            self.other.push((key.to_vec(), value.to_vec()));
        }
        Ok(())
    }

    /// The term that raft starts with.
    pub fn term(&self) -> Term {
        self.current_term.unwrap_or_default()
    }

    /// Term and candidate of the last vote, as text.
    pub fn vote(&self) -> Option<(Term, String)> {
        let candidate = String::from_utf8_lossy(self.last_vote_cand.as_deref()?).into_owned();
        Some((self.last_vote_term?, candidate))
    }
}

fn term(key: &'static str, value: &[u8]) -> Result<Term, Error> {
    let bytes = value.try_into().map_err(|_| Error::StableLen { key, len: value.len() })?;
    Ok(Term(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_8_bytes_big_endian_and_nothing_else() {
        let mut stable = StableState::default();
        stable.insert(b"CurrentTerm", &[0, 0, 0, 0, 0, 0, 1, 2]).unwrap();
        assert_eq!(stable.term(), Term(258));
        let short = stable.insert(b"LastVoteTerm", &[1; 7]);
        assert_eq!(short, Err(Error::StableLen { key: "LastVoteTerm", len: 7 }));
    }

    #[test]
    fn a_vote_needs_both_keys() {
        let mut stable = StableState::default();
        stable.insert(b"LastVoteTerm", &4_u64.to_be_bytes()).unwrap();
        assert_eq!(stable.vote(), None);
        stable.insert(b"LastVoteCand", b"10.0.0.5:50050").unwrap();
        assert_eq!(stable.vote(), Some((Term(4), "10.0.0.5:50050".to_owned())));
    }
}
