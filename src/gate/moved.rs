//! Addresses that can't work on a network of containers, and what takes their place in the copy.

use std::net::IpAddr;

use serde::Serialize;

use super::cluster::RAFT_PORT;
use crate::raft::{Configuration, Server};
use crate::state::rename::NewNames;

/// Top level domain that no other name can have. (RFC 6761)
const DOMAIN: &str = "gate.test";

/// A server whose address was changed in the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Id of the server.
    pub id: String,
    /// Its address in the state.
    pub from: String,
    /// Its address in the copy.
    pub to: String,
    /// Why the former doesn't work on a network of containers.
    pub reason: &'static str,
}

/// A server gets the address of the copy wherever its id is; a vote, which has no id, by the address that it names.
impl NewNames for [Moved] {
    fn server(&self, old: &Server) -> Server {
        let moved = self.iter().find(|moved| moved.id == old.id);
        let address = moved.map_or_else(|| old.address.clone(), |moved| moved.to.clone());
        Server { address, ..old.clone() }
    }

    fn address(&self, old: &str) -> Option<String> {
        self.iter().find(|moved| moved.from == old).map(|moved| moved.to.clone())
    }
}

/// Which addresses can't be host names on a network of containers, and what they become.
pub(super) fn moves(members: &Configuration) -> Vec<Moved> {
    let hosts: Vec<&str> = members.servers.iter().filter_map(|server| Some(split(&server.address)?.0)).collect();
    let mut moved = Vec::new();
    for (number, server) in (1..).zip(&members.servers) {
        let (host, port) = split(&server.address).unwrap_or(("", 0));
        let is_shared = || hosts.iter().filter(|other| other.eq_ignore_ascii_case(host)).count() > 1;
        let reason = match host {
            _ if port == 0 => "no host and port that can be dialled",
            ip if ip.parse::<IpAddr>().is_ok() => "an IP address",
            name if is_loopback(name) => "a loopback address",
            _ if is_shared() => "several servers on one host",
            _ => continue,
        };
        // Ports are kept: they are part of what is tried.
        let port = if port == 0 { RAFT_PORT } else { port };
        let to = format!("server-{number}.{DOMAIN}:{port}");
        moved.push(Moved { id: server.id.clone(), from: server.address.clone(), to, reason });
    }
    moved
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Host, without the brackets of IPv6, and port.
pub(super) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok().filter(|port| *port > 0)?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Suffrage;

    /// What is moved of a cluster with these addresses, and why.
    fn reasons<'a>(addresses: &[&'a str]) -> Vec<(&'a str, &'static str)> {
        let server = |address: &&str| Server {
            suffrage: Suffrage::Voter,
            id: (*address).to_owned(),
            address: (*address).to_owned(),
        };
        let moved = moves(&Configuration { servers: addresses.iter().map(server).collect() });
        let given = |moved: &Moved| addresses.iter().copied().find(|address| *address == moved.from);
        moved.iter().filter_map(|moved| Some((given(moved)?, moved.reason))).collect()
    }

    #[test]
    fn names_of_hosts_stay_and_all_else_is_moved() {
        assert_eq!(reasons(&["seq-1.example:50050", "seq-2:50051", "c.example.:1"]), []);
        let moved = reasons(&["10.0.0.1:50050", "[fd00::1]:50050", "db.localhost:50050", "no-port"]);
        let words: Vec<&str> = moved.iter().map(|(_, reason)| *reason).collect();
        let none = "no host and port that can be dialled";
        assert_eq!(words, ["an IP address", "an IP address", "a loopback address", none]);
        let shared = reasons(&["host:50050", "HOST:50051", "c:50050"]);
        assert_eq!(
            shared,
            [("host:50050", "several servers on one host"), ("HOST:50051", "several servers on one host")]
        );
    }
}
