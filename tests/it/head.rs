//! Where `generate` gets the unsafe head from, by the command itself.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/payload");
const HASH: &str = "0xe3ce35f52438d7c1d40f27a23745c2e694d07a2a4f2dc074b9682f41e339f96d";

fn generate(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-conductor-init"));
    command.env_clear().envs(variables.iter().copied());
    command.args(["generate", "--dry-run", "--nodes", "a:1", "--server-ids", "a", "--initial-leader", "a"]);
    command.args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Answers one request with a block; gives the URL.
fn server(block: &str) -> String {
    let block = std::fs::read_to_string(Path::new(VECTORS).join(block)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let mut len = 0;
        while !text(&request[..len]).contains("\"params\"") {
            len += stream.read(&mut request[len..]).unwrap();
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{block}}}"#);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    url
}

#[test]
fn this_machine_is_asked_without_the_proxy_that_others_need() {
    let output = generate(&["--execution-rpc", &server("v3.block.json")], &[("HTTP_PROXY", "http://127.0.0.1:1")]);
    assert!(text(&output.stdout).contains(HASH), "{}", text(&output.stderr));
    let other = generate(&["--execution-rpc", "http://192.0.2.1/key"], &[("HTTP_PROXY", "http://u:p@127.0.0.1:1")]);
    let error = text(&other.stderr);
    assert!(error.contains("asking http://192.0.2.1/...: "), "{error}");
    assert!(error.contains("(through the proxy http://127.0.0.1:1)"), "{error}");
}

#[test]
fn no_variable_turns_the_check_of_the_hash_off() {
    let block = std::fs::read_to_string(Path::new(VECTORS).join("v3.block.json")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("block.json");
    std::fs::write(&path, block.replace("\"gasUsed\": \"0xb741\"", "\"gasUsed\": \"0xb742\"")).unwrap();
    let path = path.to_str().unwrap();
    let refused = generate(&["--unsafe-head", path], &[("OP_CONDUCTOR_INIT_NO_HASH_CHECK", "true")]);
    assert_eq!(refused.status.code(), Some(2));
    let error = text(&refused.stderr);
    assert!(error.contains(&format!("\nerror: --unsafe-head {path}: block 100 claims the hash {HASH}")), "{error}");
    assert!(error.starts_with("warning: the variable OP_CONDUCTOR_INIT_NO_HASH_CHECK has no effect"), "{error}");
    assert!(error.contains("hint: ") && error.contains("--no-hash-check"), "{error}");
    assert!(generate(&["--unsafe-head", path, "--no-hash-check"], &[]).status.success());
}

#[test]
fn a_header_that_is_none_is_not_repeated() {
    for header in ["secret", "se cret: secret", "A: sec\nret"] {
        let output =
            generate(&["--execution-rpc", "http://127.0.0.1:1", "--rpc-header", "A: b", "--rpc-header", header], &[]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("error: --rpc-header: header 2: expected 'Name: value'"), "{error}");
        assert!(!error.contains("cret"), "{error}");
    }
}

#[test]
fn a_block_or_a_header_without_an_execution_client_is_wrong_usage() {
    let file = format!("{VECTORS}/v3.ssz");
    for extra in [["--block", "5"], ["--rpc-header", "A: b"]] {
        for source in [&["--unsafe-head", &file][..], &[]] {
            let output = generate(&[source, &extra].concat(), &[]);
            assert_eq!(output.status.code(), Some(2));
            let error = text(&output.stderr);
            let named = if source.is_empty() { "--execution-rpc" } else { "--unsafe-head" };
            assert!(error.contains(extra[0]) && error.contains(named), "{error}");
        }
    }
    assert!(generate(&["--unsafe-head", &file], &[("OP_CONDUCTOR_INIT_GENERATE_BLOCK", "")]).status.success());
}

#[test]
fn a_block_that_op_conductor_cannot_store_whole_is_taken_with_a_warning() {
    for form in ["ssz", "engine.json", "block.json"] {
        let output = generate(&["--unsafe-head", &format!("{VECTORS}/v3-isthmus.{form}")], &[]);
        let told = text(&output.stderr);
        assert!(output.status.success(), "{form}: {told}");
        assert!(told.starts_with("warning: nothing was ever withdrawn from this chain"), "{form}: {told}");
    }
}
