//! What the operator asks for: the servers of a cluster, parsed and validated. No bytes, no I/O.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::raft::{Configuration, Server, Suffrage, Term};

/// Names that must stay free in the output folder.
const RESERVED: [&str; 2] = ["cluster.json", "lost+found"];
/// The longest name of a folder, in bytes, on every common file system.
const MAX_ID_LEN: usize = 255;

/// Who may win the first election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Election {
    /// Only the named leader.
    Named,
    /// Any voter.
    Open,
}

/// The lists as they stand on the command line.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `--nodes`: addresses, separated by commas.
    pub nodes: &'a str,
    /// `--server-ids`: ids in the same order.
    pub server_ids: &'a str,
    /// `--nonvoters`: some of the ids, or nothing.
    pub nonvoters: &'a str,
    /// `--initial-leader`: one of the ids.
    pub initial_leader: &'a str,
    /// `--initial-term`.
    pub initial_term: u64,
    /// `--network`: a name for people.
    pub network: Option<&'a str>,
    /// `--election`.
    pub election: Election,
}

/// A cluster that can be generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// A name for people.
    pub network: Option<String>,
    /// All members, in the order of the flags.
    pub configuration: Configuration,
    /// Id of the named leader, a voter.
    pub leader: String,
    /// Term of the first entry.
    pub initial_term: Term,
    /// Who may win the first election.
    pub election: Election,
}

/// What is wrong with one flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The lists don't pair up.
    #[error(
        "--nodes has {nodes} item(s) and --server-ids has {ids}: expected one id for each address, in the same order"
    )]
    Lengths {
        /// Items of `--nodes`.
        nodes: usize,
        /// Items of `--server-ids`.
        ids: usize,
    },
    /// Nothing between two commas, or at an end.
    #[error("{flag}: item {item} is empty")]
    Empty {
        /// Which flag.
        flag: &'static str,
        /// Which item, from 1.
        item: usize,
    },
    /// Two equal items.
    #[error("{flag}: {value:?} is item {first} and item {second}")]
    Duplicate {
        /// Which flag.
        flag: &'static str,
        /// The item.
        value: String,
        /// Where it is first.
        first: usize,
        /// Where it is again.
        second: usize,
    },
    /// Two items that differ in case alone.
    #[error(
        "{flag}: {value:?} (item {second}) differs from item {first} in case alone: file systems and DNS may take them for one"
    )]
    DuplicateCase {
        /// Which flag.
        flag: &'static str,
        /// The second of them.
        value: String,
        /// Where the first is.
        first: usize,
        /// Where the second is.
        second: usize,
    },
    /// No usable `host:port`.
    #[error("--nodes: {address:?}: {reason}")]
    Address {
        /// The item.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An id that can't be the name of a folder.
    #[error("--server-ids: {id:?}: {reason}: the id is the name of the server's folder")]
    Id {
        /// The item.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A leader that isn't there.
    #[error("--initial-leader: {leader:?} is not in --server-ids ({ids})")]
    UnknownLeader {
        /// The leader.
        leader: String,
        /// The ids there are.
        ids: String,
    },
    /// A leader that can't lead.
    #[error("--initial-leader: {leader:?} is in --nonvoters: only a voter can lead")]
    NonvoterLeader {
        /// The leader.
        leader: String,
    },
    /// A nonvoter that isn't there.
    #[error("--nonvoters: {id:?} is not in --server-ids")]
    UnknownNonvoter {
        /// The id.
        id: String,
    },
    /// Nobody could lead.
    #[error("--nonvoters: no voter is left: a cluster needs at least one")]
    NoVoter,
    /// Raft's terms begin at 1.
    #[error("--initial-term: expected 1 or more, found 0")]
    TermZero,
    /// The plan's terms, and those of the elections after, would not fit.
    #[error(
        "--initial-term: {term} is too large: the plan needs terms up to {term} + {voters}, and elections the ones after (at most {max})"
    )]
    TermTooLarge {
        /// The term asked for.
        term: u64,
        /// Number of voters.
        voters: usize,
        /// The largest that would do.
        max: u64,
    },
}

/// All that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Terms that must be left for elections after the plan's.
const TERM_RESERVE: u64 = 1 << 32;

impl ClusterSpec {
    /// Parses and validates a request.
    ///
    /// # Errors
    /// All problems of all flags, not only the first.
    pub fn parse(request: &Request<'_>) -> Result<ClusterSpec, Problems> {
        let mut problems = Vec::new();
        let addresses = list("--nodes", request.nodes, &mut problems);
        let ids = list("--server-ids", request.server_ids, &mut problems);
        let nonvoters = match request.nonvoters.trim() {
            "" => Vec::new(),
            text => list("--nonvoters", text, &mut problems),
        };
        if addresses.len() != ids.len() {
            problems.push(Problem::Lengths { nodes: addresses.len(), ids: ids.len() });
        }
        for address in addresses.iter().filter(|address| !address.is_empty()) {
            if let Err(reason) = check_address(address) {
                problems.push(Problem::Address { address: (*address).to_owned(), reason });
            }
        }
        for id in ids.iter().filter(|id| !id.is_empty()) {
            if let Err(reason) = check_id(id) {
                problems.push(Problem::Id { id: (*id).to_owned(), reason });
            }
        }
        let unknown = nonvoters.iter().filter(|id| !id.is_empty() && !ids.contains(id));
        problems.extend(unknown.map(|id| Problem::UnknownNonvoter { id: (*id).to_owned() }));
        check_leader(request.initial_leader.trim(), &ids, &nonvoters, &mut problems);
        let voters = ids.iter().filter(|id| !nonvoters.contains(id)).count();
        if voters == 0 {
            problems.push(Problem::NoVoter);
        }
        check_term(request.initial_term, voters, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let server = |(id, address): (&&str, &&str)| Server {
            suffrage: if nonvoters.contains(id) { Suffrage::Nonvoter } else { Suffrage::Voter },
            id: (*id).to_owned(),
            address: (*address).to_owned(),
        };
        Ok(ClusterSpec {
            network: request.network.filter(|name| !name.is_empty()).map(str::to_owned),
            configuration: Configuration { servers: ids.iter().zip(&addresses).map(server).collect() },
            leader: request.initial_leader.trim().to_owned(),
            initial_term: Term(request.initial_term),
            election: request.election,
        })
    }

    /// How many members may vote.
    pub fn voter_count(&self) -> u64 {
        self.configuration.voters().count() as u64
    }

    /// The named leader.
    pub fn leader_server(&self) -> &Server {
        self.configuration.server(&self.leader).expect("parse checked that the leader is a member")
    }

    /// What works, but not as people would expect.
    pub fn warnings(&self) -> Vec<String> {
        let voters = self.voter_count();
        let even = voters
            .is_multiple_of(2)
            .then(|| format!("{voters} voters: an even number survives no more failures than {}", voters - 1));
        even.into_iter().collect()
    }
}

/// The items of a comma list, without blanks around them. Empty and equal ones are problems.
fn list<'a>(flag: &'static str, text: &'a str, problems: &mut Vec<Problem>) -> Vec<&'a str> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut seen: HashMap<String, (usize, &str)> = HashMap::new();
    for (item, value) in (1..).zip(&items) {
        if value.is_empty() {
            problems.push(Problem::Empty { flag, item });
        } else if let Some((first, known)) = seen.get(&value.to_lowercase()) {
            let (first, second, value) = (*first, item, (*value).to_owned());
            problems.push(match *known == value {
                true => Problem::Duplicate { flag, value, first, second },
                false => Problem::DuplicateCase { flag, value, first, second },
            });
        } else {
            seen.insert(value.to_lowercase(), (item, value));
        }
    }
    items
}

/// `host:port` as Go's net.SplitHostPort takes it, with a host and a port that can be dialled.
fn check_address(address: &str) -> Result<(), &'static str> {
    if address.contains("://") {
        return Err("a scheme is not part of an address: expected host:port");
    }
    if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("blanks and control characters are not allowed");
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("'[' without ']'")?;
            let literal = host.split_once('%').map_or(host, |(literal, _zone)| literal);
            literal.parse::<Ipv6Addr>().map_err(|_| "expected an IPv6 address between the brackets")?;
            (host, rest.strip_prefix(':').ok_or("no port: expected [host]:port")?)
        }
        None => {
            let (host, port) = address.rsplit_once(':').ok_or("no port: expected host:port")?;
            if host.contains(':') {
                return Err("an IPv6 address needs brackets: [host]:port");
            }
            (host, port)
        }
    };
    if host.is_empty() {
        return Err("no host: expected host:port");
    }
    if host.contains(['/', '\\', '[', ']', '@']) {
        return Err("the host has a character that no host name has");
    }
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        _ => Err("expected a port from 1 to 65535"),
    }
}

fn check_id(id: &str) -> Result<(), &'static str> {
    if id.len() > MAX_ID_LEN {
        return Err("longer than 255 bytes");
    }
    if id.starts_with('.') {
        return Err("a leading dot");
    }
    if id.contains(['/', '\\']) {
        return Err("a path separator");
    }
    if id.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a blank or control character");
    }
    if RESERVED.iter().any(|name| name.eq_ignore_ascii_case(id)) {
        return Err("a reserved name");
    }
    Ok(())
}

fn check_leader(leader: &str, ids: &[&str], nonvoters: &[&str], problems: &mut Vec<Problem>) {
    if !ids.contains(&leader) || leader.is_empty() {
        problems.push(Problem::UnknownLeader { leader: leader.to_owned(), ids: ids.join(",") });
    } else if nonvoters.contains(&leader) {
        problems.push(Problem::NonvoterLeader { leader: leader.to_owned() });
    }
}

fn check_term(term: u64, voters: usize, problems: &mut Vec<Problem>) {
    let max = u64::MAX - TERM_RESERVE - voters as u64;
    if term == 0 {
        problems.push(Problem::TermZero);
    } else if term > max {
        problems.push(Problem::TermTooLarge { term, voters, max });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Request<'_> = Request {
        nodes: "a.example:1, [::1]:2 ,10.0.0.3:65535",
        server_ids: "a,b,c",
        nonvoters: "c",
        initial_leader: "b",
        initial_term: 1,
        network: Some("devnet"),
        election: Election::Named,
    };

    fn problems(request: &Request<'_>) -> Vec<Problem> {
        ClusterSpec::parse(request).map_or_else(|problems| problems.0, |spec| panic!("accepted: {spec:?}"))
    }

    #[test]
    fn a_good_request_keeps_its_order() {
        let spec = ClusterSpec::parse(&GOOD).unwrap();
        let ids: Vec<_> = spec.configuration.servers.iter().map(|s| (s.id.as_str(), s.address.as_str())).collect();
        assert_eq!(ids, [("a", "a.example:1"), ("b", "[::1]:2"), ("c", "10.0.0.3:65535")]);
        assert_eq!((spec.voter_count(), spec.leader_server().address.as_str()), (2, "[::1]:2"));
        assert_eq!(spec.warnings().len(), 1);
        assert_eq!(spec.configuration.check(), Ok(()));
    }

    #[test]
    fn each_bad_address_has_its_reason() {
        let reason = |address: &str| check_address(address).unwrap_err();
        for (address, words) in [
            ("http://a:1", "scheme"),
            ("a b:1", "blanks"),
            ("a", "no port"),
            ("a:0", "1 to 65535"),
            ("a:65536", "1 to 65535"),
            ("a:+1", "1 to 65535"),
            ("a:", "1 to 65535"),
            ("::1:50050", "brackets"),
            ("[::1]", "no port"),
            ("[::1:5", "'['"),
            ("[host]:5", "IPv6"),
            (":50050", "no host"),
            ("a/b:1", "character"),
            ("conductor-raft.50050", "no port"),
        ] {
            assert!(reason(address).contains(words), "{address}: {}", reason(address));
        }
    }

    #[test]
    fn each_bad_id_has_its_reason() {
        let long = "x".repeat(256);
        for id in ["../x", "a/b", "a\\b", ".", "..", ".hidden", "a\0b", "a b", "cluster.json", "lost+found", &long] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        assert_eq!(check_id(&"x".repeat(255)), Ok(()));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let request = Request {
            nodes: "a:1,a:1,A:1,",
            server_ids: "a,b,B",
            nonvoters: "z",
            initial_leader: "x",
            initial_term: 0,
            ..GOOD
        };
        let found = problems(&request);
        let duplicate = Problem::Duplicate { flag: "--nodes", value: "a:1".to_owned(), first: 1, second: 2 };
        let case = Problem::DuplicateCase { flag: "--server-ids", value: "B".to_owned(), first: 2, second: 3 };
        for expected in [
            duplicate,
            case,
            Problem::Empty { flag: "--nodes", item: 4 },
            Problem::Lengths { nodes: 4, ids: 3 },
            Problem::UnknownNonvoter { id: "z".to_owned() },
            Problem::UnknownLeader { leader: "x".to_owned(), ids: "a,b,B".to_owned() },
            Problem::TermZero,
        ] {
            assert!(found.contains(&expected), "{expected} not in {found:?}");
        }
    }

    #[test]
    fn a_nonvoter_cannot_lead_and_somebody_must() {
        assert_eq!(
            problems(&Request { initial_leader: "c", ..GOOD }),
            [Problem::NonvoterLeader { leader: "c".to_owned() }]
        );
        assert!(problems(&Request { nonvoters: "a,b,c", ..GOOD }).contains(&Problem::NoVoter));
    }

    #[test]
    fn a_term_that_leaves_no_room_is_refused() {
        let found = problems(&Request { initial_term: u64::MAX, ..GOOD });
        let Problem::TermTooLarge { max, .. } = found[0] else { panic!("{found:?}") };
        assert!(ClusterSpec::parse(&Request { initial_term: max, ..GOOD }).is_ok());
        assert!(ClusterSpec::parse(&Request { initial_term: max + 1, ..GOOD }).is_err());
    }
}
