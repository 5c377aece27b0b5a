use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Instant;

use super::*;
use crate::head::{Source, UnsafeHead, load};

const BLOCK: &str = include_str!("../../../tests/vectors/payload/v4-3-txs.block.json");
const SSZ: &[u8] = include_bytes!("../../../tests/vectors/payload/v4-3-txs.ssz");

/// Serves one request by `serve`; gives the URL and, in the end, what was asked.
fn server(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&request).contains("\"params\"") {
            let read = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        serve(&mut stream);
        String::from_utf8(request).unwrap()
    });
    (url, asked)
}

fn answering(answer: String) -> (String, JoinHandle<String>) {
    server(move |stream| stream.write_all(answer.as_bytes()).unwrap())
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn result(json: &str) -> String {
    http("200 OK", &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#))
}

fn ask(answer: String, block: &str) -> (Result<UnsafeHead, Error>, String) {
    let (url, asked) = answering(answer);
    let endpoint = Endpoint::new(&url, ["X-Key: secret"]).unwrap();
    let head = load(&Source::Rpc(endpoint, block.parse().unwrap()), true);
    (head, asked.join().unwrap())
}

/// Why the block can't be had.
fn reason(answer: String) -> String {
    ask(answer, "latest").0.unwrap_err().to_string()
}

#[test]
fn a_block_is_asked_for_once_with_its_transactions() {
    let (head, asked) = ask(result(BLOCK), "0x65");
    assert_eq!(head.unwrap().bytes, SSZ);
    assert!(asked.contains(r#""method":"eth_getBlockByNumber","params":["0x65",true]"#), "{asked}");
    assert!(asked.to_lowercase().contains("x-key: secret"), "{asked}");
}

#[test]
fn each_way_to_fail_says_so() {
    assert!(reason(http("403 Forbidden", "go away\nplease")).ends_with("HTTP status 403: go away"));
    assert!(reason(http("200 OK", "<html>")).contains("not JSON"));
    assert!(reason(http("200 OK", r#"{"result":null}"#)).contains("no such block"));
    let error = r#"{"error":{"code":-32601,"message":"method not found"}}"#;
    assert!(reason(http("400 Bad Request", error)).contains("error -32601: method not found"));
    assert!(reason(http("200 OK", r#"{"error":"no"}"#)).contains(r#"error 0: "no""#));
    assert!(reason(String::new()).contains("asking http://127.0.0.1:"));
    let nobody = Endpoint::new("http://127.0.0.1:1", []).unwrap();
    assert!(matches!(nobody.block(BlockId::Latest), Err(Error::Rpc(RpcError::Transport { .. }))));
}

#[test]
fn another_block_than_the_one_asked_for_is_refused() {
    let hash = Envelope::decode(SSZ).unwrap().head().hash;
    let other = format!("0x{}", "ab".repeat(32));
    for (asked, right) in [("101", true), ("100", false), (&hash.to_string(), true), (&other, false)] {
        let (head, _) = ask(result(BLOCK), asked);
        match right {
            true => assert_eq!(head.unwrap().bytes, SSZ),
            false => {
                let error = head.unwrap_err().to_string();
                assert!(error.ends_with(&format!("expected block {asked}, found block 101 {hash}")), "{error}");
            }
        }
    }
}

#[test]
fn a_redirect_is_not_followed_and_says_where_to() {
    let redirect =
        |to: &str| reason(format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
    let elsewhere = redirect("https://user:word@other.example:8545/key?and=more");
    assert!(
        elsewhere.ends_with("the server redirects to https://other.example:8545/...: give that URL"),
        "{elsewhere}"
    );
    assert!(redirect("/key").ends_with("the server redirects to another path of its own: give that URL"));
}

#[test]
fn nothing_secret_is_in_an_error_or_in_debug() {
    let url = "http://name:word@127.0.0.1:1/v2/key?token=x";
    let endpoint = Endpoint::new(url, ["Authorization: Bearer secret", "X-Key: secret"]).unwrap();
    let error = endpoint.block(BlockId::Latest).unwrap_err();
    let told = format!("{endpoint:?} {:?} {error} {error:?}", Source::Rpc(endpoint.clone(), BlockId::Latest));
    assert!(told.contains("http://127.0.0.1:1/..."), "{told}");
    for secret in ["name", "word", "v2", "key?", "token", "secret"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    for (url, header) in
        [("secret", "A: b"), ("ftp://secret", "A: b"), ("http://a", "secret"), ("http://a", "se cret: b")]
    {
        let error = Endpoint::new(url, [header]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
    }
}

#[test]
fn a_server_that_repeats_a_key_is_quoted_without_it() {
    for status in ["200 OK", "401 Unauthorized"] {
        for body in ["no key abcdefgh", r#"{"error":{"code":1,"message":"no key abcdefgh of 12345678, 87654321"}}"#] {
            let (url, asked) = answering(http(status, body));
            let endpoint =
                Endpoint::new(&format!("{url}/v2/abcdefgh?key=12345678"), ["Authorization: Bearer 87654321"]).unwrap();
            let error = endpoint.block(BlockId::Latest).unwrap_err();
            asked.join().unwrap();
            for key in ["abcdefgh", "12345678", "87654321"] {
                assert!(!format!("{error} {error:?}").contains(key), "{error}");
            }
        }
    }
}

#[test]
fn a_name_and_password_in_the_url_are_sent_as_basic_authorization() {
    let (url, asked) = answering(result(BLOCK));
    let endpoint = Endpoint::new(&url.replace("//", "//name:pass@"), []).unwrap();
    endpoint.block(BlockId::Latest).unwrap();
    let asked = asked.join().unwrap();
    // printf name:pass | base64
    assert!(asked.to_lowercase().contains("authorization: basic bmftztpwyxnz"), "{asked}");
    let encoded = Endpoint::new("http://name:p%40ss@127.0.0.1", []).unwrap_err().to_string();
    assert!(encoded.contains("--rpc-header 'Authorization: Basic"), "{encoded}");
}

#[test]
fn this_machine_is_not_asked_through_a_proxy() {
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"] {
        assert!(is_this_machine(host), "{host}");
    }
    for host in ["example.org", "10.0.0.1", "[::2]", "127.0.0.1.example.org"] {
        assert!(!is_this_machine(host), "{host}");
    }
}

#[test]
fn an_answer_that_drips_ends_at_the_time_limit() {
    let (url, asked) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        while stream.write_all(b" ").is_ok() {
            sleep(Duration::from_millis(20));
        }
    });
    let mut endpoint = Endpoint::new(&url, []).unwrap();
    endpoint.timeout = Duration::from_millis(300);
    let start = Instant::now();
    let error = endpoint.block(BlockId::Latest).unwrap_err().to_string();
    assert!(error.ends_with("no whole answer within 0.3 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    asked.join().unwrap();
}

#[test]
fn an_endless_answer_ends_at_the_length_limit() {
    let (url, asked) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    let mut endpoint = Endpoint::new(&url, []).unwrap();
    endpoint.max_len = 1 << 16;
    let error = endpoint.block(BlockId::Latest).unwrap_err().to_string();
    assert!(error.ends_with("an answer of more than 65536 bytes: no block is that large"), "{error}");
    asked.join().unwrap();
}

#[test]
fn hostile_json_is_an_error() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nulls = format!("[{}0]", "null,".repeat(100_000));
    let in_block = |field: &str, value: &str| {
        let mut block: serde_json::Value = serde_json::from_str(BLOCK).unwrap();
        block[field] = json!("HERE");
        block.to_string().replace("\"HERE\"", value)
    };
    for json in [&deep, &nulls, "7", "\"text\"", "[]", "{}", "true", "{\"hash\":1}"] {
        let error = reason(result(json));
        assert!(error.contains("JSON of no known form"), "{json:.40}: {error}");
    }
    for field in ["transactions", "hash", "number", "extraData", "withdrawals", "baseFeePerGas"] {
        for value in [&deep, &nulls, "{}", "-1", "\"0x\\u0000\"", "\"zz\""] {
            let error = reason(result(&in_block(field, value)));
            assert!(error.contains("the block: "), "{field}: {value:.40}: {error}");
        }
    }
    // What isn't looked at may be anything.
    assert_eq!(ask(result(&in_block("unknown", &deep)), "latest").0.unwrap().bytes, SSZ);
}
