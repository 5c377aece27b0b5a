//! One question to an execution client: JSON-RPC over HTTP or HTTPS.
//!
//! URLs often hold a key in their path, query or password, and headers are there for secrets: no error and no `Debug`
//! repeats them, and none is sent to another server than the one that was named.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::json;
use ureq::http::header::LOCATION;
use ureq::http::uri::PathAndQuery;
use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use ureq::{Agent, Body};

use super::json::{self, JsonError, first_words};
use super::{BlockId, Error, MAX_LEN};
use crate::payload::{Envelope, Hash};

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter parts of URLs and headers are words, such as Bearer, and no keys.
const MIN_SECRET_LEN: usize = 8;

/// An execution client.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    max_len: u64,
}

/// Why the client could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The URL is none, or not of HTTP. It isn't repeated.
    #[error("not a URL that can be asked: {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header is none. It isn't repeated.
    #[error("header {number}: expected 'Name: value'")]
    Header {
        /// Which one, from 1.
        number: usize,
    },
    /// No connection, no answer in time, no TLS, or too long an answer.
    #[error("asking {url}: {reason}")]
    Transport {
        /// Whom.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server names another one. That would get the headers too, so it isn't followed.
    #[error("asking {url}: the server redirects to {to}: give that URL")]
    Redirect {
        /// Whom.
        url: String,
        /// The other server.
        to: String,
    },
    /// Not the answer of a JSON-RPC server.
    #[error("asking {url}: HTTP status {status}: {body}")]
    Status {
        /// Whom.
        url: String,
        /// HTTP's number.
        status: u16,
        /// First line of the answer.
        body: String,
    },
    /// An answer that is no block.
    #[error("asking {url}: {error}")]
    Answer {
        /// Whom.
        url: String,
        /// What is wrong with it.
        error: JsonError,
    },
    /// A block, but another one.
    #[error("asking {url}: expected block {asked}, found block {number} {hash}")]
    OtherBlock {
        /// Whom.
        url: String,
        /// What it was asked for.
        asked: BlockId,
        /// Number of what it answered.
        number: u64,
        /// Hash of what it answered.
        hash: Hash,
    },
}

impl Endpoint {
    /// `url` is of http or https, and may hold a name and a password; each header is a `Name: value`.
    pub fn new<'a>(url: &str, headers: impl IntoIterator<Item = &'a str>) -> Result<Endpoint, RpcError> {
        let fail = |reason| RpcError::Url { reason };
        let uri: Uri = url.parse().map_err(|_| fail("expected http://host:port or https://host"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(fail("expected http://host:port or https://host"));
        }
        // ureq sends it as it is, so that the server would get another password.
        let userinfo = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        if userinfo.is_some_and(|(userinfo, _)| userinfo.contains('%')) {
            return Err(fail(
                "its name or password has a percent sign, which isn't decoded here: give --rpc-header 'Authorization: Basic <base64 of name:password>' instead",
            ));
        }
        let headers =
            headers.into_iter().zip(1..).map(|(text, number)| header(text).ok_or(RpcError::Header { number }));
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Endpoint { uri, headers, timeout: TIMEOUT, max_len: MAX_LEN })
    }

    /// Asks for a block with its transactions.
    pub(super) fn block(&self, block: BlockId) -> Result<Envelope, Error> {
        let (method, id) = match block {
            BlockId::Latest => ("eth_getBlockByNumber", block.to_string()),
            BlockId::Number(number) => ("eth_getBlockByNumber", format!("{number:#x}")),
            BlockId::Hash(_) => ("eth_getBlockByHash", block.to_string()),
        };
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": [id, true]}).to_string();
        let envelope = json::envelope(&self.ask(&question)?).map_err(|error| match error {
            Error::Json(error) => self.answer(error).into(),
            other => other,
        })?;
        let head = envelope.head();
        if !block.is(&head) {
            let (url, number, hash) = (self.to_string(), head.number, head.hash);
            return Err(RpcError::OtherBlock { url, asked: block, number, hash }.into());
        }
        Ok(envelope)
    }

    fn ask(&self, question: &str) -> Result<Vec<u8>, RpcError> {
        let agent = self.agent();
        let mut request = agent.post(&self.uri).header("Content-Type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let transport = |error| self.transport(&error, &agent);
        let mut response = request.send(question).map_err(transport)?;
        if response.status().is_redirection() {
            return Err(RpcError::Redirect { url: self.to_string(), to: self.target(&response) });
        }
        let body = response.body_mut().with_config().limit(self.max_len).read_to_vec().map_err(transport)?;
        match response.status().as_u16() {
            200 => Ok(body),
            // Some servers give an error of JSON-RPC a status of its own.
            status => Err(match json::refusal(&body) {
                Some(error) => self.answer(error),
                None => {
                    let body = self.without_secrets(&first_words(&String::from_utf8_lossy(&body)));
                    RpcError::Status { url: self.to_string(), status, body }
                }
            }),
        }
    }

    fn answer(&self, error: JsonError) -> RpcError {
        let error = match error {
            JsonError::Answer { code, message } => JsonError::Answer { code, message: self.without_secrets(&message) },
            other => other,
        };
        RpcError::Answer { url: self.to_string(), error }
    }

    /// What a server says, who may repeat the key that it doesn't know.
    fn without_secrets(&self, text: &str) -> String {
        let headers = self.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        let authority = self.uri.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        let userinfo = authority.map(|(userinfo, _)| userinfo);
        let path = self.uri.path_and_query().map(PathAndQuery::as_str);
        let parts = headers.chain(userinfo).chain(path).flat_map(|secret| secret.split([' ', ':', '/', '?', '&', '=']));
        let secrets = parts.filter(|part| part.len() >= MIN_SECRET_LEN);
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "..."))
    }

    fn agent(&self) -> Agent {
        let mut config =
            Agent::config_builder().timeout_global(Some(self.timeout)).http_status_as_error(false).max_redirects(0);
        // What a proxy calls localhost is itself.
        if self.uri.host().is_some_and(is_this_machine) {
            config = config.proxy(None);
        }
        config.build().new_agent()
    }

    fn target(&self, response: &Response<Body>) -> String {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        match location.and_then(|location| location.parse::<Uri>().ok()) {
            Some(uri) if uri.host().is_some() => shown(&uri),
            Some(_) => "another path of its own".to_owned(),
            None => "an address that it doesn't tell".to_owned(),
        }
    }

    fn transport(&self, error: &ureq::Error, agent: &Agent) -> RpcError {
        let reason = match error {
            ureq::Error::Timeout(_) => format!("no whole answer within {} s", self.timeout.as_secs_f32()),
            ureq::Error::BodyExceedsLimit(_) => {
                format!("an answer of more than {} bytes: no block is that large", self.max_len)
            }
            other => other.to_string(),
        };
        let proxy = agent.config().proxy().filter(|proxy| !proxy.is_no_proxy(&self.uri));
        let through = proxy.map(|proxy| format!(" (through the proxy {})", shown(proxy.uri())));
        RpcError::Transport { url: self.to_string(), reason: reason + &through.unwrap_or_default() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.uri))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Endpoint").field("url", &self.to_string()).field("headers", &names).finish()
    }
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

/// A URL without what may be secret in it.
fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let more = if uri.path_and_query().is_none_or(|path| path == "/") { "" } else { "/..." };
    format!("{scheme}://{host}{port}{more}")
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
}
