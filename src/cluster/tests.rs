use super::*;

const GOOD: SpecText<'_> = SpecText {
    nodes: "a.example:50050,b.example:50050,[2001:db8::3]:50050",
    server_ids: "a,b,c",
    nonvoters: "",
    initial_leader: "a",
    initial_term: 1,
    network: None,
    election: Election::Named,
};

fn errors(text: &SpecText<'_>) -> Vec<SpecError> {
    ClusterSpec::parse(text).expect_err("a bad cluster was taken").0
}

fn id_error(id: &str) -> IdError {
    let found = errors(&SpecText { nodes: "a:1", server_ids: id, initial_leader: id, ..GOOD });
    match found.as_slice() {
        [SpecError::Id { position: 1, item, error }] if item == id => error.clone(),
        other => panic!("{id:?}: {other:?}"),
    }
}

fn address_error(address: &str) -> AddressError {
    let found = errors(&SpecText { nodes: address, server_ids: "a", ..GOOD });
    match found.as_slice() {
        [SpecError::Address { position: 1, item, error }] if item == address => error.clone(),
        other => panic!("{address:?}: {other:?}"),
    }
}

#[test]
fn blanks_around_items_do_not_count() {
    let text = SpecText { nodes: " a:1 ,\tb:2", server_ids: "a , b", nonvoters: " b ", network: Some(" x "), ..GOOD };
    let spec = ClusterSpec::parse(&text).unwrap();
    assert_eq!(spec.network(), Some("x"));
    assert_eq!(spec.leader().address, "a:1");
    let [a, b] = spec.configuration().servers.as_slice() else { panic!("two servers") };
    assert_eq!((a.id.as_str(), a.suffrage), ("a", Suffrage::Voter));
    assert_eq!((b.id.as_str(), b.address.as_str(), b.suffrage), ("b", "b:2", Suffrage::Nonvoter));
}

#[test]
fn what_is_parsed_satisfies_raft() {
    assert_eq!(ClusterSpec::parse(&GOOD).unwrap().configuration().check(), Ok(()));
}

#[test]
fn an_id_must_be_a_safe_name_of_a_directory() {
    assert_eq!(id_error("a b"), IdError::Blank);
    assert_eq!(id_error("a\0"), IdError::Control { found: '\0' });
    assert_eq!(id_error("a\nb"), IdError::Control { found: '\n' });
    assert_eq!(id_error("a/b"), IdError::Separator { found: '/' });
    assert_eq!(id_error("a\\b"), IdError::Separator { found: '\\' });
    assert_eq!(id_error(".."), IdError::LeadingDot);
    assert_eq!(id_error(".replaced"), IdError::LeadingDot);
    assert_eq!(id_error(&"x".repeat(256)), IdError::TooLong { len: 256 });
    assert_eq!(id_error("cluster.json"), IdError::Reserved);
    assert_eq!(id_error("Lost+Found"), IdError::Reserved);
    assert_eq!(id_error(""), IdError::Empty);
}

#[test]
fn the_longest_id_is_taken() {
    let id = "x".repeat(255);
    assert!(ClusterSpec::parse(&SpecText { nodes: "a:1", server_ids: &id, initial_leader: &id, ..GOOD }).is_ok());
}

#[test]
fn an_address_must_be_host_and_port() {
    let port = |found: &str| AddressError::Port { found: found.to_owned() };
    assert_eq!(address_error(""), AddressError::Empty);
    assert_eq!(address_error("a b:1"), AddressError::Blank);
    assert_eq!(address_error("http://a:1"), AddressError::Scheme);
    assert_eq!(address_error("a"), AddressError::NoPort);
    assert_eq!(address_error("[::1]"), AddressError::NoPort);
    for bad in ["", "0", "65536", "+1", "01", "http", "-1"] {
        assert_eq!(address_error(&format!("a:{bad}")), port(bad));
    }
    assert_eq!(address_error(":50050"), AddressError::NoHost);
    assert_eq!(address_error("2001:db8::1:50050"), AddressError::Unbracketed);
    assert_eq!(address_error("[a.example]:50050"), AddressError::Ipv6);
    assert_eq!(address_error("[::1:50050"), AddressError::Ipv6);
    assert_eq!(address_error("a/b:1"), AddressError::HostCharacter { found: '/' });
}

#[test]
fn an_ipv6_zone_and_the_highest_port_are_taken() {
    assert!(ClusterSpec::parse(&SpecText { nodes: "[fe80::1%eth0]:65535", server_ids: "a", ..GOOD }).is_ok());
}

#[test]
fn lists_of_different_lengths_are_refused() {
    let found = errors(&SpecText { nodes: "a:1", server_ids: "a,b", ..GOOD });
    assert_eq!(found, [SpecError::Lengths { ids: 2, addresses: 1 }]);
}

#[test]
fn one_address_in_two_spellings_is_refused() {
    for (first, second) in [
        ("seq-1.example.:50050", "seq-1.example:50050"),
        ("[2001:db8::1]:50050", "[2001:db8:0:0::1]:50050"),
        ("[2001:DB8::1]:50050", "[2001:db8::1]:50050"),
    ] {
        let nodes = format!("{first},{second}");
        let text = SpecText { nodes: &nodes, server_ids: "a,b", initial_leader: "a", ..GOOD };
        let errors = ClusterSpec::parse(&text).unwrap_err();
        let expected = format!("item 2 {second:?} is the same as item 1 {first:?}");
        assert!(errors.to_string().starts_with(&expected), "{errors}");
    }
}

#[test]
fn duplicates_that_differ_in_case_alone_are_refused() {
    let found = errors(&SpecText { nodes: "H:1,h:1,x:1", server_ids: "a,b,A", ..GOOD });
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            r#"item 3 "A" is the same as item 1 "a" except for case"#,
            r#"item 2 "h:1" is the same as item 1 "H:1" except for case"#,
        ]
    );
}

#[test]
fn a_nonvoter_named_twice_is_refused() {
    let found = errors(&SpecText { nonvoters: "b,b", ..GOOD });
    assert!(matches!(
        found.as_slice(),
        [SpecError::Duplicate { field: SpecField::Nonvoters, position: 2, first: 1, .. }]
    ));
}

#[test]
fn the_leader_must_be_a_voter_of_the_cluster() {
    let leader = "z".to_owned();
    assert_eq!(errors(&SpecText { initial_leader: "z", ..GOOD }), [SpecError::UnknownLeader { leader }]);
    let leader = "a".to_owned();
    assert_eq!(errors(&SpecText { nonvoters: "a", ..GOOD }), [SpecError::NonvotingLeader { leader }]);
}

#[test]
fn a_nonvoter_must_be_a_server() {
    let item = "z".to_owned();
    assert_eq!(errors(&SpecText { nonvoters: "b,z", ..GOOD }), [SpecError::UnknownNonvoter { position: 2, item }]);
}

#[test]
fn a_cluster_needs_a_voter() {
    assert!(errors(&SpecText { nonvoters: "a,b,c", ..GOOD }).contains(&SpecError::NoVoter));
}

#[test]
fn the_election_after_the_plan_must_have_a_term() {
    assert_eq!(errors(&SpecText { initial_term: 0, ..GOOD }), [SpecError::ZeroTerm]);
    let max = LAST_NUMBER - 4;
    assert!(ClusterSpec::parse(&SpecText { initial_term: max, ..GOOD }).is_ok());
    let found = errors(&SpecText { initial_term: max + 1, ..GOOD });
    assert_eq!(found, [SpecError::TermTooHigh { term: max + 1, max }]);
    let open = SpecText { initial_term: LAST_NUMBER - 1, election: Election::Open, ..GOOD };
    assert!(ClusterSpec::parse(&open).is_ok());
    assert!(ClusterSpec::parse(&SpecText { initial_term: LAST_NUMBER, ..open }).is_err());
}

#[test]
fn all_errors_are_reported_at_once() {
    let text = SpecText { nodes: "a,b:1", server_ids: "a,,c", initial_leader: "z", initial_term: 0, ..GOOD };
    let lines = ClusterSpec::parse(&text).unwrap_err().to_string();
    assert_eq!(
        lines,
        "expected as many addresses as server ids (3), found 2\n\
         item 2 \"\" is empty\n\
         item 1 \"a\" has no port: expected host:port\n\
         \"z\" is not one of the server ids\n\
         expected at least 1, found 0"
    );
}

#[test]
fn an_even_number_of_voters_is_a_warning() {
    assert_eq!(ClusterSpec::parse(&GOOD).unwrap().warnings(), []);
    let even = ClusterSpec::parse(&SpecText { nonvoters: "b", ..GOOD }).unwrap();
    assert_eq!(even.warnings(), [SpecWarning::EvenVoters { voters: 2 }]);
    assert_eq!(even.warnings()[0].to_string(), "2 voters survive no more failures than 1: prefer an odd number");
}

#[test]
fn addresses_that_others_cannot_dial_are_warnings() {
    let warnings = |nodes| ClusterSpec::parse(&SpecText { nodes, ..GOOD }).unwrap().warnings();
    assert_eq!(warnings("127.0.0.1:1,[::1]:2,localhost:3"), []);
    let (id, address) = ("a".to_owned(), "127.0.0.1:1".to_owned());
    assert_eq!(warnings("127.0.0.1:1,b:2,c:3"), [SpecWarning::Loopback { id, address }]);
    let (id, address) = ("b".to_owned(), "[::]:2".to_owned());
    assert_eq!(warnings("a:1,[::]:2,c:3"), [SpecWarning::Unspecified { id, address }]);
}
