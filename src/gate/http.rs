//! A request to a node's control or RPC.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `method path` at `address`; the JSON of the answer, or its text as an error.
pub(super) async fn call(address: &str, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    let request = request.header("Content-Type", "application/json").body(body.to_owned());
    let request = request.map_err(|error| error.to_string())?;
    let called = tokio::task::spawn_blocking(|| exchange(request));
    called.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?
}

fn exchange(request: Request<String>) -> Result<Result<Value, String>, ureq::Error> {
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
        return Ok(Err(text.trim().to_owned()));
    }
    Ok(serde_json::from_str(&text).map_err(|error| format!("{error} in {text:?}")))
}
