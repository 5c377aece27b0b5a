//! A request to a node's control or RPC.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call got no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the texts say what the fields are")]
pub enum CallError {
    /// Nothing answered, or not HTTP.
    #[error("no answer")]
    Http(#[from] ureq::Error),
    /// It was given up.
    #[error("the call was given up")]
    GivenUp(#[from] tokio::task::JoinError),
    /// It answered with an error.
    #[error("{message}")]
    Refused { message: String },
    /// What it answered isn't what was asked for.
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
}

/// Calls `method path` at `address`; the JSON of the answer.
pub(super) async fn call(address: &str, method: &str, path: &str, body: &str) -> Result<Value, CallError> {
    let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    let request = request.header("Content-Type", "application/json").body(body.to_owned());
    let request = request.map_err(|error| CallError::Http(ureq::Error::Http(error)))?;
    tokio::task::spawn_blocking(|| exchange(request)).await?
}

fn exchange(request: Request<String>) -> Result<Value, CallError> {
    // A proxy from the environment leads nowhere near the node.
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .proxy(None)
        .http_status_as_error(false)
        .allow_non_standard_methods(true);
    let mut answer = ureq::Agent::from(config.build()).run(request)?;
    let status = answer.status();
    let text = answer.body_mut().read_to_string()?;
    if !status.is_success() {
        return Err(CallError::Refused { message: text.trim().to_owned() });
    }
    serde_json::from_str(&text).map_err(|_| CallError::Unexpected { expected: "JSON", found: text })
}
