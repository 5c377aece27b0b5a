//! Who should be in the cluster, by a file that somebody keeps: cluster.json, the config.toml of op-conductor-ops,
//! raft's peers.json, or what the RPC conductor_clusterMembership answers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cluster::{AddressError, check_address};
use crate::raft::{Configuration, Server, Suffrage};
use crate::report::{Finding, Severity};
use crate::state::Node;

/// The members that a file names; of several networks, each one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    lists: Vec<Members>,
}

/// The members of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Members {
    /// Its name, where the file has several.
    network: Option<String>,
    servers: Vec<Server>,
}

/// Why a file doesn't say who should be in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither JSON nor TOML with members.
    #[error(
        "expected cluster.json, peers.json, the answer of conductor_clusterMembership, or the config.toml of op-conductor-ops: {reason}"
    )]
    Format {
        /// What the parser said.
        reason: String,
    },
    /// A server has an address that nobody can dial.
    #[error("{id}: the address {address:?} {reason}")]
    Address {
        /// Which server.
        id: String,
        /// Its address.
        address: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// Two servers of one id.
    #[error("{id} is there twice")]
    Twice {
        /// Which server.
        id: String,
    },
    /// No server at all.
    #[error("it names no server")]
    Nobody,
    /// A network lists a server that the file doesn't describe.
    #[error("networks.{network} lists {id}, but there is no sequencers.{id}")]
    Undescribed {
        /// Which network.
        network: String,
        /// Which server.
        id: String,
    },
}

/// One member in JSON, in the words of any of the formats.
#[derive(Debug, Deserialize)]
struct JsonServer {
    #[serde(alias = "ID")]
    id: String,
    #[serde(alias = "addr", alias = "Address")]
    address: String,
    #[serde(default)]
    suffrage: Option<JsonSuffrage>,
    #[serde(default)]
    non_voter: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum JsonSuffrage {
    Number(u8),
    Word(String),
}

/// A list, an object with a list, or an RPC's answer around it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum JsonMembers {
    List(Vec<JsonServer>),
    Object { servers: Vec<JsonServer> },
    Answer { result: Box<JsonMembers> },
}

/// op-conductor-ops's config.toml. (ethereum-optimism/infra op-conductor-ops/example.config.toml)
#[derive(Debug, Deserialize)]
struct OpsConfig {
    networks: BTreeMap<String, OpsNetwork>,
    sequencers: BTreeMap<String, OpsSequencer>,
}

#[derive(Debug, Deserialize)]
struct OpsNetwork {
    sequencers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct OpsSequencer {
    raft_addr: String,
    #[serde(default = "yes")]
    voting: bool,
}

const fn yes() -> bool {
    true
}

impl JsonMembers {
    fn servers(self) -> Result<Vec<Server>, Error> {
        let list = match self {
            JsonMembers::Answer { result } => return result.servers(),
            JsonMembers::List(servers) | JsonMembers::Object { servers } => servers,
        };
        list.into_iter().map(JsonServer::server).collect()
    }
}

impl JsonServer {
    fn server(self) -> Result<Server, Error> {
        let unknown = |found: String| Error::Format { reason: format!("{}: suffrage {found} is unknown", self.id) };
        let suffrage = match self.suffrage {
            None if self.non_voter => Suffrage::Nonvoter,
            None => Suffrage::Voter,
            Some(JsonSuffrage::Number(number)) => match Suffrage::from_byte(number) {
                Suffrage::Unknown(_) => return Err(unknown(number.to_string())),
                known => known,
            },
            Some(JsonSuffrage::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "voter" => Suffrage::Voter,
                "nonvoter" => Suffrage::Nonvoter,
                "staging" => Suffrage::Staging,
                _ => return Err(unknown(word)),
            },
        };
        Ok(Server { suffrage, id: self.id, address: self.address })
    }
}

impl OpsConfig {
    fn lists(&self) -> Result<Vec<Members>, Error> {
        let members = |(network, listed): (&String, &OpsNetwork)| {
            let server = |id: &String| {
                let undescribed = || Error::Undescribed { network: network.clone(), id: id.clone() };
                let OpsSequencer { raft_addr, voting } = self.sequencers.get(id).ok_or_else(undescribed)?;
                let suffrage = if *voting { Suffrage::Voter } else { Suffrage::Nonvoter };
                Ok(Server { suffrage, id: id.clone(), address: raft_addr.clone() })
            };
            let servers = listed.sequencers.iter().map(server).collect::<Result<_, Error>>()?;
            Ok(Members { network: Some(network.clone()), servers })
        };
        self.networks.iter().map(members).collect()
    }
}

impl Expected {
    /// Reads a file's text, whichever of the formats it has.
    pub fn parse(text: &str) -> Result<Expected, Error> {
        let lists = match serde_json::from_str::<JsonMembers>(text) {
            Ok(members) => vec![Members { network: None, servers: members.servers()? }],
            Err(_) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => {
                let reason = "JSON, but no list of servers with id and address".to_owned();
                return Err(Error::Format { reason });
            }
            Err(json) => match toml::from_str::<OpsConfig>(text) {
                Ok(config) => config.lists()?,
                Err(toml) => {
                    let is_json = text.trim_start().starts_with('{');
                    let reason = if is_json { json.to_string() } else { toml.to_string() };
                    return Err(Error::Format { reason: reason.trim_end().to_owned() });
                }
            },
        };
        if lists.iter().all(|list| list.servers.is_empty()) {
            return Err(Error::Nobody);
        }
        Ok(Expected { lists })
    }

    /// The list that shares servers with `ids`.
    fn of(&self, ids: &[&str]) -> Option<&Members> {
        let shared = |list: &&Members| list.servers.iter().filter(|server| ids.contains(&server.id.as_str())).count();
        match self.lists.as_slice() {
            [only] => Some(only),
            several => several.iter().max_by_key(shared).filter(|list| shared(list) > 0),
        }
    }

    /// Compares what the nodes have with it.
    ///
    /// # Errors
    /// When the list that concerns these nodes is not one of a cluster.
    pub fn compare(&self, nodes: &[Node]) -> Result<Vec<Finding>, Error> {
        let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let Some(expected) = self.of(&ids) else {
            let names: Vec<&str> = self.lists.iter().filter_map(|list| list.network.as_deref()).collect();
            let reason = format!("none of the networks {} has a server named {}", names.join(", "), ids.join(" or "));
            return Err(Error::Format { reason });
        };
        expected.check()?;
        let found: Vec<Vec<Finding>> = nodes.iter().map(|node| expected.differences(node)).collect();
        let same = found.windows(2).all(|pair| pair[0] == pair[1]);
        if same {
            return Ok(found.into_iter().next().unwrap_or_default());
        }
        let named = |(node, list): (&Node, Vec<Finding>)| {
            list.into_iter().map(|finding| finding.in_node(&node.id)).collect::<Vec<_>>()
        };
        Ok(nodes.iter().zip(found).flat_map(named).collect())
    }
}

impl Members {
    fn check(&self) -> Result<(), Error> {
        for (at, server) in self.servers.iter().enumerate() {
            let fail = |reason| Error::Address { id: server.id.clone(), address: server.address.clone(), reason };
            check_address(&server.address).map_err(fail)?;
            if self.servers[..at].iter().any(|other| other.id == server.id) {
                return Err(Error::Twice { id: server.id.clone() });
            }
        }
        Ok(())
    }

    fn differences(&self, node: &Node) -> Vec<Finding> {
        // What the named plan puts behind it on followers never counts.
        let generated = node.log.first_configuration.as_ref().filter(|_| node.is_untouched()).cloned();
        let Some(at) = generated.or_else(|| node.latest_configuration()) else { return Vec::new() };
        let Configuration { servers } = &at.configuration;
        let hint = "the file or the cluster is out of date: change the members on the leader by conductor_addServerAsVoter or conductor_removeServer, or the file";
        let mut found = Vec::new();
        let mut add = |id, message: String| {
            found.push(Finding::new(id, Severity::Error, message).hint(hint));
        };
        for expected in &self.servers {
            let Server { id, address, suffrage } = expected;
            match servers.iter().find(|server| server.id == *id) {
                None => add("NODE-008", format!("{id} ({address}) is expected, but no member (entry {})", at.index)),
                Some(found) => {
                    if found.address != *address {
                        let message = format!("{id} is expected at {address}, but its address is {}", found.address);
                        add("NODE-010", message);
                    }
                    if found.suffrage != *suffrage {
                        add("NODE-011", format!("{id} is expected to be a {suffrage}, but is a {}", found.suffrage));
                    }
                }
            }
        }
        for server in servers {
            if !self.servers.iter().any(|expected| expected.id == server.id) {
                let Server { id, address, suffrage } = server;
                add("NODE-009", format!("{id} ({address}, {suffrage}) is a member, but not expected"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Result<Vec<(String, String, Suffrage)>, String> {
        let expected = Expected::parse(text).map_err(|error| error.to_string())?;
        let list = expected.of(&["a"]).ok_or("no list")?;
        list.check().map_err(|error| error.to_string())?;
        Ok(list.servers.iter().map(|it| (it.id.clone(), it.address.clone(), it.suffrage)).collect())
    }

    #[test]
    fn the_formats_say_the_same() {
        let expected = [("a", "x:1", Suffrage::Voter), ("b", "y:2", Suffrage::Nonvoter)];
        let expected = expected.map(|(id, address, suffrage)| (id.to_owned(), address.to_owned(), suffrage));
        for text in [
            r#"{"servers":[{"suffrage":"voter","id":"a","address":"x:1"},{"suffrage":"nonvoter","id":"b","address":"y:2"}],"leader":"a"}"#,
            r#"[{"id":"a","address":"x:1","non_voter":false},{"id":"b","address":"y:2","non_voter":true}]"#,
            r#"{"servers":[{"id":"a","addr":"x:1","suffrage":0},{"id":"b","addr":"y:2","suffrage":1}],"version":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"servers":[{"id":"a","addr":"x:1","suffrage":0},{"id":"b","addr":"y:2","suffrage":1}],"version":7}}"#,
            "cert_path = './cacert.pem'\n[networks.other]\nsequencers = ['c']\n[networks.one]\nsequencers = ['a', 'b']\n\
             [sequencers.a]\nraft_addr = 'x:1'\nvoting = true\n[sequencers.b]\nraft_addr = 'y:2'\nvoting = false\n\
             [sequencers.c]\nraft_addr = ''\n",
        ] {
            assert_eq!(servers(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_names_nobody_is_refused_with_its_reason() {
        let reason = |text: &str| servers(text).unwrap_err();
        assert!(reason("{\"servers\": 1}").contains("no list of servers"));
        assert!(reason("{").contains("EOF"));
        assert!(reason("x = ").contains("TOML"), "{}", reason("x = "));
        assert_eq!(reason("[]"), "it names no server");
        assert_eq!(
            reason(r#"[{"id":"a","address":"raft.50050"}]"#),
            "a: the address \"raft.50050\" has no port: expected host:port"
        );
        assert_eq!(reason(r#"[{"id":"a","address":"x:1"},{"id":"a","address":"y:1"}]"#), "a is there twice");
        assert!(reason(r#"[{"id":"a","address":"x:1","suffrage":9}]"#).contains("suffrage 9 is unknown"));
        let undescribed = "[networks.n]\nsequencers = ['a']\n[sequencers]\n";
        assert_eq!(reason(undescribed), "networks.n lists a, but there is no sequencers.a");
    }
}
