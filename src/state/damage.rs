//! What damage of a bolt file means for the server that it belongs to.

use crate::bolt::{Problem, ProblemKind};

/// What to do about a damaged directory, as far as it can be said of one server alone.
pub(super) const ADD_AGAIN: &str = "keep a copy of the directory; if a quorum of the other servers is sound, remove this one from the cluster and add it again with an empty directory, else recover the cluster";

/// What is wrong with a bolt file, what that means, and where it is.
pub fn describe_damage(problem: &Problem) -> String {
    problem.with_meaning(meaning(&problem.kind))
}

/// What it means for op-conductor and raft, unless the problem itself says so.
fn meaning(kind: &ProblemKind) -> Option<&'static str> {
    Some(match kind {
        ProblemKind::NewerMeta { .. }
        | ProblemKind::OlderMeta { .. }
        | ProblemKind::MetaPageSize { .. }
        | ProblemKind::LastTxId { .. }
        | ProblemKind::MetaHeader { .. } => return None,
        ProblemKind::Empty => "bbolt would make it a new database in silence, and the node would forget what it knew",
        ProblemKind::NoMeta { .. } => "op-conductor can't open it and does not start",
        ProblemKind::Truncated { .. } => "op-conductor crashes when it reads what is missing",
        ProblemKind::Freelist(_) => "op-conductor panics at its start, or writes over pages in use",
        ProblemKind::FreelistBounds { .. } => "bbolt would write over a meta, or use one page for two things",
        ProblemKind::AlreadyFreed => "bbolt would use it for two things at once",
        ProblemKind::FreelistOrder { .. } => "bbolt sorts it when it opens the file",
        ProblemKind::ReachableFreed => "bbolt writes over it sooner or later",
        ProblemKind::UnreachableUnfreed { .. } => "space is lost, or a tree has lost entries",
        ProblemKind::MultipleReferences => "a change through one of them damages the other",
        ProblemKind::Cycle | ProblemKind::TooDeep => "op-conductor hangs or crashes on the way down",
        ProblemKind::Page(_) => "what is on and below it is lost, and raft panics when it needs that",
        ProblemKind::KeyOrder { .. } | ProblemKind::KeyBelowParent { .. } | ProblemKind::KeyAboveNext { .. } => {
            "searches miss keys that are there, and raft takes their entries for lost"
        }
        ProblemKind::EmptyKey { .. } => "bbolt panics when it writes this page",
        ProblemKind::KeyTooLong { .. } | ProblemKind::ElementFlags { .. } => "no store of raft has such an element",
        ProblemKind::Bucket { .. } | ProblemKind::InlineBucketInside { .. } => "raft can't read what is in it",
        ProblemKind::Inline { inner, .. } => return meaning(inner),
    })
}
