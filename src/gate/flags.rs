//! What an image of op-conductor says of itself: its version, and the flags that it knows.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::container::{Container, Launch, Line};
use super::fleet::DATA;
use super::image::Image;
use super::site::Site;
use super::{Error, NoImage, POLL};

/// Port of op-conductor's own RPC.
pub(super) const RPC_PORT: u16 = 8545;
/// A program that only prints its help ends within this time.
const HELP_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the rollup configuration is in the container.
pub(super) const ROLLUP_PATH: &str = "/rollup.json";

/// An image of op-conductor that was asked for its version and its flags.
#[derive(Debug, Clone)]
pub struct ConductorImage {
    pub(super) image: Image,
    /// What it calls itself, such as `v0.9.4`; releases before somebody set it say v0.0.1.
    pub version: Option<String>,
    flags: BTreeSet<String>,
}

impl ConductorImage {
    /// Asks the image for its `--help`: an unknown flag is fatal, and releases differ in them.
    ///
    /// # Errors
    /// It isn't an op-conductor, or Docker failed.
    pub async fn of(image: Image, site: &Site) -> Result<ConductorImage, Error> {
        let help = output(&image, site, "--help").await?;
        let flags: BTreeSet<String> = help.iter().flat_map(|(_, line)| flags_in(line)).collect();
        if !flags.contains("raft.server.id") {
            return Err(Error::NoImage { image: image.name, reason: NoImage::NotOpConductor });
        }
        let version = version_in(&help);
        Ok(ConductorImage { image, version, flags })
    }

    /// Those of these arguments, as `--name=value`, whose flag it knows.
    pub(super) fn known<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let is_known = |argument: &&str| flags_in(argument).any(|flag| self.flags.contains(&flag));
        arguments.iter().copied().filter(is_known).collect()
    }

    /// Arguments of node `id` whose others reach it at `host` and `port`, those that this image knows.
    pub(super) fn arguments(&self, id: &str, (host, port): (&str, u16), stub: &str, more: &[&str]) -> Vec<String> {
        // Without --consensus.advertised, it listens on all addresses and advertises --consensus.addr.
        let advertises = self.flags.contains("consensus.advertised");
        let wanted = [
            ("consensus.addr", if advertises { "0.0.0.0" } else { host }.to_owned()),
            ("consensus.advertised", format!("{host}:{port}")),
            ("consensus.port", port.to_string()),
            ("raft.server.id", id.to_owned()),
            ("raft.storage.dir", DATA.to_owned()),
            ("raft.bootstrap", "false".to_owned()),
            ("node.rpc", stub.to_owned()),
            ("execution.rpc", stub.to_owned()),
            ("rpc.addr", "0.0.0.0".to_owned()),
            ("rpc.port", RPC_PORT.to_string()),
            ("rollup.config", ROLLUP_PATH.to_owned()),
            ("healthcheck.interval", "1".to_owned()),
            ("healthcheck.unsafe-interval", "10".to_owned()),
            ("healthcheck.min-peer-count", "1".to_owned()),
            ("log.level", "DEBUG".to_owned()),
            ("log.format", "logfmt".to_owned()),
        ];
        let known = wanted.into_iter().filter(|(flag, _)| self.flags.contains(*flag));
        known.map(|(flag, value)| format!("--{flag}={value}")).chain(more.iter().map(ToString::to_string)).collect()
    }
}

/// What the image prints when it is called with this argument.
async fn output(image: &Image, site: &Site, argument: &str) -> Result<Vec<Line>, Error> {
    let command = vec![argument.to_owned()];
    let name = site.next_name("help");
    let launch = Launch { image, command, host: &name, port: RPC_PORT, files: None };
    let container = Container::start(site, &name, launch).await?;
    let end = Instant::now() + HELP_TIMEOUT;
    while container.exit_code().await?.is_none() && Instant::now() < end {
        sleep(POLL).await;
    }
    let lines = container.lines().await?;
    container.remove().await?;
    Ok(lines.into_iter().flatten().collect())
}

/// The flags that a line of help names, without their dashes.
fn flags_in(line: &str) -> impl Iterator<Item = String> + '_ {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    line.split([' ', '\t', ',', '[', '(']).filter_map(move |word| {
        let name = word.strip_prefix("--")?;
        let name = &name[..name.find(|c| !is_part(c)).unwrap_or(name.len())];
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// The line after `VERSION:`, without commit and date. (urfave/cli v2 template.go AppHelpTemplate,
/// op-service/version.go FormatVersion)
fn version_in(help: &[Line]) -> Option<String> {
    let mut lines = help.iter().map(|(_, line)| line.trim()).skip_while(|line| *line != "VERSION:");
    let is_stamp = |part: &&str| part.len() >= 8 && part.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<&str> = lines.nth(1)?.split('-').filter(|part| !is_stamp(part)).collect();
    Some(parts.join("-")).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_help() {
        let line =
            "   --consensus.addr value, --old.name=x    Address (--rpc.port) to listen ($OP_CONDUCTOR_CONSENSUS_ADDR)";
        assert_eq!(flags_in(line).collect::<Vec<_>>(), ["consensus.addr", "old.name", "rpc.port"]);
        assert_eq!(flags_in("-- no flag -x").count(), 0);
    }

    #[test]
    fn help_tells_the_version() {
        let help =
            |text: &str| text.lines().map(|line| (jiff::Timestamp::UNIX_EPOCH, line.to_owned())).collect::<Vec<_>>();
        let version = |text: &str| version_in(&help(text));
        assert_eq!(
            version("NAME:\n   x\nVERSION:\n   v0.9.4-1234abcd-1747561234\n\nFLAGS:").as_deref(),
            Some("v0.9.4")
        );
        assert_eq!(version("VERSION:\n   v0.1.0-rc.1-1234abcd-1724000000\n").as_deref(), Some("v0.1.0-rc.1"));
        assert_eq!(version("VERSION:\n   v0.0.1\n").as_deref(), Some("v0.0.1"));
        assert_eq!(version("NAME:\n"), None);
    }
}
