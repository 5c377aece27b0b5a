//! What can be a server's id, and what can be its address.

use std::net::Ipv6Addr;

/// Longest name of a directory in bytes. (Linux NAME_MAX)
const NAME_MAX_LEN: usize = 255;
/// Names of other entries beside the servers' directories, and of those in one: a directory that has one of these is taken for
/// a server's own.
const RESERVED: [&str; 5] = ["cluster.json", "lost+found", "raft-log.db", "raft-stable.db", "snapshots"];

/// Why a text can't be an id. An id is also the name of the server's directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing between two commas.
    #[error("is empty")]
    Empty,
    /// A blank inside.
    #[error("has a blank inside")]
    Blank,
    /// NUL, a line feed, or the like.
    #[error("has the control character {found:?}")]
    Control {
        /// Which.
        found: char,
    },
    /// It would be a path.
    #[error("has {found:?}, but names one directory")]
    Separator {
        /// Which separator.
        found: char,
    },
    /// A hidden directory, or `.` or `..`.
    #[error("starts with a dot, but names a directory")]
    LeadingDot,
    /// Longer than a file system takes.
    #[error("expected at most {NAME_MAX_LEN} bytes, found {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The output directory has something else of that name.
    #[error("is reserved")]
    Reserved,
}

/// Checks that `id` is safe as the name of a directory.
pub fn check_id(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    for found in id.chars() {
        match found {
            '/' | '\\' => return Err(IdError::Separator { found }),
            _ if found.is_control() => return Err(IdError::Control { found }),
            _ if found.is_whitespace() => return Err(IdError::Blank),
            _ => {}
        }
    }
    if id.starts_with('.') {
        return Err(IdError::LeadingDot);
    }
    if id.len() > NAME_MAX_LEN {
        return Err(IdError::TooLong { len: id.len() });
    }
    if RESERVED.iter().any(|name| name.eq_ignore_ascii_case(id)) {
        return Err(IdError::Reserved);
    }
    Ok(())
}

/// Why a text can't be an address that other servers can dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing between two commas.
    #[error("is empty")]
    Empty,
    /// A blank or a control character inside.
    #[error("has a blank inside")]
    Blank,
    /// A URL.
    #[error("has a scheme: expected host:port, without ://")]
    Scheme,
    /// A host alone.
    #[error("has no port: expected host:port")]
    NoPort,
    /// A port that can't be dialled.
    #[error("expected a port from 1 to 65535, found {found:?}")]
    Port {
        /// What is there instead.
        found: String,
    },
    /// A port alone.
    #[error("has no host: expected host:port")]
    NoHost,
    /// An IPv6 address that runs into the port.
    #[error("expected an IPv6 address in brackets: [2001:db8::1]:50050")]
    Unbracketed,
    /// Something else between the brackets.
    #[error("expected an IPv6 address between the brackets")]
    Ipv6,
    /// A character that host names don't have.
    #[error("has {found:?} in its host name")]
    HostCharacter {
        /// Which character.
        found: char,
    },
}

/// Checks that `address` is `host:port` as Go's net.SplitHostPort has it, and that it can be dialled.
pub fn check_address(address: &str) -> Result<(), AddressError> {
    if address.is_empty() {
        return Err(AddressError::Empty);
    }
    if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::Blank);
    }
    if address.contains("://") {
        return Err(AddressError::Scheme);
    }
    let port = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(AddressError::Ipv6)?;
            check_ipv6(host)?;
            rest.strip_prefix(':').ok_or(AddressError::NoPort)?
        }
        None => {
            let (host, port) = address.rsplit_once(':').ok_or(AddressError::NoPort)?;
            check_host(host)?;
            port
        }
    };
    // parse alone would take "+1" and "01", which Go prints as other texts.
    let canonical = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    if canonical { Ok(()) } else { Err(AddressError::Port { found: port.to_owned() }) }
}

/// One spelling for all that mean the same host and port: host names without case and without the dot at their end, IPv6
/// addresses as RFC 5952 writes them.
pub(crate) fn canonical_address(address: &str) -> String {
    let Some((host, port)) = address.rsplit_once(':') else { return address.to_lowercase() };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare.map(|bare| bare.split_once('%').unwrap_or((bare, ""))) {
        Some((ip, zone)) => match ip.parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}%{zone}]:{port}"),
            Err(_) => address.to_lowercase(),
        },
        None => format!("{}:{port}", host.strip_suffix('.').unwrap_or(host).to_lowercase()),
    }
}

fn check_ipv6(host: &str) -> Result<(), AddressError> {
    let address = host.split_once('%').map_or(host, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().map(drop).map_err(|_| AddressError::Ipv6)
}

fn check_host(host: &str) -> Result<(), AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    if host.contains(':') {
        return Err(AddressError::Unbracketed);
    }
    match host.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_')) {
        Some(found) => Err(AddressError::HostCharacter { found }),
        None => Ok(()),
    }
}
