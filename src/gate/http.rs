//! A request to a node's control. HTTP/1.0: the answer ends with the connection.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls `method path` at `address`; the JSON of the answer, or its text as an error.
pub(super) async fn call(address: &str, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let len = body.len();
        let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {len}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| "no answer in time".to_owned())?;
    let answer = answer.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("not an HTTP answer")?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(body.trim().to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}
