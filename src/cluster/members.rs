//! Who should be in the cluster, by a file that somebody keeps: cluster.json, the config.toml of op-conductor-ops,
//! raft's peers.json, or what the RPC conductor_clusterMembership answers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{AddressError, check_address};
use crate::raft::{Server, Suffrage};

/// The members that a file names; of several networks, those of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersFile {
    lists: Vec<MemberList>,
}

/// The members of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberList {
    /// Name of the network, where the file has several.
    pub network: Option<String>,
    /// All members, in the order of the file.
    pub servers: Vec<Server>,
}

/// Why a file doesn't say who should be in the cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what they are")]
pub enum MembersError {
    /// Neither JSON nor TOML with members.
    #[error("expected {MEMBERS_FORMATS}: {0}")]
    Json(serde_json::Error),
    /// The same, of a text that isn't JSON.
    #[error("expected {MEMBERS_FORMATS}: {}", .0.to_string().trim_end())]
    Toml(toml::de::Error),
    /// The answer of a server that has no such method, or refused it.
    #[error("the server answered error {code}: {message}")]
    Answer { code: i64, message: String },
    /// peers.json of raft protocol 1 and 2.
    #[error(
        "the old form of peers.json: a list of addresses. Today's has an object for each server: {{\"id\", \"address\", \"non_voter\"}}"
    )]
    OldPeers,
    /// JSON of another kind.
    #[error("expected {MEMBERS_FORMATS}: JSON, but without a list of servers with id and address")]
    NoList,
    /// A suffrage that raft doesn't have.
    #[error("{id}: expected the suffrage voter, nonvoter or staging, or 0, 1 or 2, found {found}")]
    Suffrage { id: String, found: String },
    /// An address that nobody can dial.
    #[error("{id}: the address {address:?} {reason}")]
    Address { id: String, address: String, reason: AddressError },
    /// Two servers of one id.
    #[error("{id} is there twice")]
    Duplicate { id: String },
    /// No server at all.
    #[error("it names no server")]
    Empty,
    /// A network lists a server that the file doesn't describe.
    #[error("networks.{network} lists {id}, but there is no sequencers.{id}")]
    Undescribed { network: String, id: String },
    /// None of the networks is that of these servers.
    #[error("none of the networks {} has a server named {}", networks.join(", "), ids.join(" or "))]
    OtherNetworks { networks: Vec<String>, ids: Vec<String> },
}

/// The formats that [`MembersFile::parse`] reads.
const MEMBERS_FORMATS: &str =
    "cluster.json, peers.json, the answer of conductor_clusterMembership, or the config.toml of op-conductor-ops";

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

/// What else JSON can be, to say so.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OtherJson {
    Error { error: JsonRpcError },
    Addresses(Vec<String>),
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct JsonRpcError {
    code: i64,
    message: String,
}

impl OtherJson {
    fn error(self) -> MembersError {
        match self {
            OtherJson::Error { error: JsonRpcError { code, message } } => MembersError::Answer { code, message },
            OtherJson::Addresses(list) if !list.is_empty() => MembersError::OldPeers,
            OtherJson::Addresses(_) => MembersError::Empty,
            OtherJson::Other(_) => MembersError::NoList,
        }
    }
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
    fn servers(self) -> Result<Vec<Server>, MembersError> {
        let list = match self {
            JsonMembers::Answer { result } => return result.servers(),
            JsonMembers::List(servers) | JsonMembers::Object { servers } => servers,
        };
        list.into_iter().map(JsonServer::server).collect()
    }
}

impl JsonServer {
    fn server(self) -> Result<Server, MembersError> {
        let unknown = |found: String| MembersError::Suffrage { id: self.id.clone(), found };
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
    fn lists(&self) -> Result<Vec<MemberList>, MembersError> {
        let members = |(network, listed): (&String, &OpsNetwork)| {
            let server = |id: &String| {
                let undescribed = || MembersError::Undescribed { network: network.clone(), id: id.clone() };
                let OpsSequencer { raft_addr, voting } = self.sequencers.get(id).ok_or_else(undescribed)?;
                let suffrage = if *voting { Suffrage::Voter } else { Suffrage::Nonvoter };
                Ok(Server { suffrage, id: id.clone(), address: raft_addr.clone() })
            };
            let servers = listed.sequencers.iter().map(server).collect::<Result<_, MembersError>>()?;
            Ok(MemberList { network: Some(network.clone()), servers })
        };
        self.networks.iter().map(members).collect()
    }
}

/// The lists of a text that isn't JSON, for the reason `json`.
fn lists_of_toml(text: &str, json: serde_json::Error) -> Result<Vec<MemberList>, MembersError> {
    match toml::from_str::<OpsConfig>(text) {
        Ok(config) => config.lists(),
        Err(_) if text.trim_start().starts_with('{') => Err(MembersError::Json(json)),
        Err(toml) => Err(MembersError::Toml(toml)),
    }
}

impl MembersFile {
    /// Parses a file's text, whichever of the formats it has.
    pub fn parse(text: &str) -> Result<MembersFile, MembersError> {
        let lists = match serde_json::from_str::<JsonMembers>(text) {
            Ok(members) => vec![MemberList { network: None, servers: members.servers()? }],
            Err(json) => match serde_json::from_str::<OtherJson>(text) {
                Ok(other) => return Err(other.error()),
                Err(_) => lists_of_toml(text, json)?,
            },
        };
        if lists.iter().all(|list| list.servers.is_empty()) {
            return Err(MembersError::Empty);
        }
        Ok(MembersFile { lists })
    }

    /// The list of the network that the servers `ids` are in: the only list, or the one that shares most servers with them.
    ///
    /// # Errors
    /// When no network has one of these servers, or its list can't be one of a cluster.
    pub fn list_of(&self, ids: &[&str]) -> Result<&MemberList, MembersError> {
        let shared =
            |list: &&MemberList| list.servers.iter().filter(|server| ids.contains(&server.id.as_str())).count();
        let list = match self.lists.as_slice() {
            [only] => only,
            several => several.iter().max_by_key(shared).filter(|list| shared(list) > 0).ok_or_else(|| {
                let networks = several.iter().filter_map(|list| list.network.clone()).collect();
                let ids = ids.iter().map(|id| (*id).to_owned()).collect();
                MembersError::OtherNetworks { networks, ids }
            })?,
        };
        list.check()?;
        Ok(list)
    }
}

impl MemberList {
    fn check(&self) -> Result<(), MembersError> {
        for (at, server) in self.servers.iter().enumerate() {
            let (id, address) = (server.id.clone(), server.address.clone());
            check_address(&server.address).map_err(|reason| MembersError::Address { id, address, reason })?;
            if self.servers[..at].iter().any(|other| other.id == server.id) {
                return Err(MembersError::Duplicate { id: server.id.clone() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Result<Vec<(String, String, Suffrage)>, String> {
        let file = MembersFile::parse(text).map_err(|error| error.to_string())?;
        let list = file.list_of(&["a"]).map_err(|error| error.to_string())?;
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
        assert!(reason("{\"servers\": 1}").contains("without a list of servers"));
        assert!(reason("{").contains("EOF"));
        assert!(reason("x = ").contains("TOML"), "{}", reason("x = "));
        assert_eq!(reason("[]"), "it names no server");
        assert_eq!(
            reason(r#"[{"id":"a","address":"raft.50050"}]"#),
            "a: the address \"raft.50050\" has no port: expected host:port"
        );
        assert_eq!(reason(r#"[{"id":"a","address":"x:1"},{"id":"a","address":"y:1"}]"#), "a is there twice");
        assert!(reason(r#"[{"id":"a","address":"x:1","suffrage":9}]"#).ends_with("found 9"));
        let rpc = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method does not exist"}}"#;
        assert_eq!(reason(rpc), "the server answered error -32601: the method does not exist");
        assert!(reason(r#"["x:1", "y:2"]"#).starts_with("the old form of peers.json"));
        let undescribed = "[networks.n]\nsequencers = ['a']\n[sequencers]\n";
        assert_eq!(reason(undescribed), "networks.n lists a, but there is no sequencers.a");
    }
}
