//! One question to an execution client: JSON-RPC over HTTP or HTTPS.

use std::time::Duration;

use serde_json::json;

use super::json::{self, JsonError};
use super::{BlockId, Error, MAX_LEN};
use crate::payload::{Envelope, Hash};

/// For the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An execution client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://` or `https://`.
    pub url: String,
    /// Names and values of headers, such as one that authorizes.
    pub headers: Vec<(String, String)>,
}

/// Why the client could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No connection, no answer in time, no TLS, or a URL that is none.
    #[error("asking {url}: {reason}")]
    Transport {
        /// Whom.
        url: String,
        /// What happened.
        reason: String,
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
    /// Asks for a block with its transactions.
    pub(super) fn block(&self, block: BlockId) -> Result<Envelope, Error> {
        let (method, id) = match block {
            BlockId::Latest => ("eth_getBlockByNumber", block.to_string()),
            BlockId::Number(number) => ("eth_getBlockByNumber", format!("{number:#x}")),
            BlockId::Hash(_) => ("eth_getBlockByHash", block.to_string()),
        };
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": [id, true]}).to_string();
        let (status, body) = self.exchange(&question).map_err(|error| self.transport(&error))?;
        let answer = |error| RpcError::Answer { url: self.url.clone(), error };
        // Some servers give an error of JSON-RPC a status of its own.
        let envelope = match (status, json::refusal(&body)) {
            (_, Some(error)) => return Err(answer(error).into()),
            (200, None) => json::envelope(&body).map_err(|error| match error {
                Error::Json(error) => answer(error).into(),
                other => other,
            })?,
            (_, None) => {
                let body = json::first_words(&String::from_utf8_lossy(&body));
                return Err(RpcError::Status { url: self.url.clone(), status, body }.into());
            }
        };
        let head = envelope.head();
        if !block.is(&head) {
            let (number, hash) = (head.number, head.hash);
            return Err(RpcError::OtherBlock { url: self.url.clone(), asked: block, number, hash }.into());
        }
        Ok(envelope)
    }

    fn exchange(&self, question: &str) -> Result<(u16, Vec<u8>), ureq::Error> {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        let agent = config.build().new_agent();
        let mut request = agent.post(&self.url).header("Content-Type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = request.send(question)?;
        let status = response.status().as_u16();
        Ok((status, response.body_mut().with_config().limit(MAX_LEN).read_to_vec()?))
    }

    fn transport(&self, error: &ureq::Error) -> RpcError {
        let reason = match error {
            ureq::Error::Timeout(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
            other => other.to_string(),
        };
        RpcError::Transport { url: self.url.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::head::{Source, load};

    /// Answers one request with `answer`; gives the URL and, in the end, what was asked.
    fn server(answer: String) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&request).contains("\"params\"") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, asked)
    }

    fn http(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn ask(answer: String, block: &str) -> (Result<crate::head::UnsafeHead, crate::head::Error>, String) {
        let (url, asked) = server(answer);
        let headers = vec![("X-Key".to_owned(), "secret".to_owned())];
        let result = load(&Source::Rpc(Endpoint { url, headers }, block.parse().unwrap()), true);
        (result, asked.join().unwrap())
    }

    #[test]
    fn a_block_is_asked_for_once_with_its_transactions() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload/v4-3-txs");
        let block = std::fs::read_to_string(format!("{path}.block.json")).unwrap();
        let answer = http("200 OK", &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{block}}}"#));
        let (head, asked) = ask(answer, "0x65");
        assert_eq!(head.unwrap().bytes, std::fs::read(format!("{path}.ssz")).unwrap());
        assert!(asked.contains(r#""params":["0x65",true]"#), "{asked}");
        assert!(asked.to_lowercase().contains("x-key: secret"), "{asked}");
    }

    #[test]
    fn each_way_to_fail_says_so() {
        let reason = |answer: String| ask(answer, "latest").0.unwrap_err().to_string();
        assert!(reason(http("403 Forbidden", "go away\nplease")).ends_with("HTTP status 403: go away"));
        assert!(reason(http("200 OK", "<html>")).contains("not JSON"));
        assert!(reason(http("200 OK", r#"{"result":null}"#)).contains("no such block"));
        let error = r#"{"error":{"code":-32601,"message":"method not found"}}"#;
        assert!(reason(http("400 Bad Request", error)).contains("error -32601: method not found"));
        assert!(reason(String::new()).contains("asking http://127.0.0.1:"));
        let nobody = Endpoint { url: "http://127.0.0.1:1".to_owned(), headers: Vec::new() };
        assert!(matches!(nobody.block(BlockId::Latest), Err(Error::Rpc(RpcError::Transport { .. }))));
        let no_url = Endpoint { url: "ftp://x".to_owned(), headers: Vec::new() };
        assert!(matches!(no_url.block(BlockId::Latest), Err(Error::Rpc(RpcError::Transport { .. }))));
    }

    #[test]
    fn another_block_than_the_one_asked_for_is_refused() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload/v4-3-txs");
        let block = std::fs::read_to_string(format!("{path}.block.json")).unwrap();
        let answer = http("200 OK", &format!(r#"{{"result":{block}}}"#));
        let hash = Envelope::decode(&std::fs::read(format!("{path}.ssz")).unwrap()).unwrap().head().hash;
        let other = format!("0x{}", "ab".repeat(32));
        for (asked, right) in [("101", true), ("100", false), (&hash.to_string(), true), (&other, false)] {
            match (ask(answer.clone(), asked).0, right) {
                (head, true) => assert_eq!(head.unwrap().head.number, 101),
                (head, false) => {
                    let error = head.unwrap_err().to_string();
                    assert!(error.ends_with(&format!("expected block {asked}, found block 101 {hash}")), "{error}");
                }
            }
        }
    }
}
