//! One container: the only place that creates, starts and stops one.
//!
//! This uses the Docker client that testcontainers finds, not testcontainers' own runner: the runner creates and starts
//! in one call, so nothing can be unpacked in between; it has no network aliases (an address of the state is a name on
//! the network), no owners of files, holds what it copies in memory, and copies no directory out.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::models::{
    ContainerCreateBody, ContainerState, EndpointSettings, HostConfig, NetworkingConfig, PortBinding,
};
use testcontainers::bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use testcontainers::bollard::{Docker, body_try_stream};
use tokio::time::{Instant, sleep};

use super::archive::Archive;
use super::image::Image;
use super::site::Site;
use super::{Error, LABEL, POLL};

/// What a container runs.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub image: &'a Image,
    /// Its arguments, after the entrypoint.
    pub command: Vec<String>,
    /// Name by which others on the network reach it.
    pub host: &'a str,
    /// Port that is published to us.
    pub port: u16,
    /// What is unpacked at the root of its file system before it starts.
    pub files: Option<Archive>,
}

/// A container of a [`Site`], which removes it.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    name: String,
    image: String,
    port: u16,
}

/// What a container printed: time by Docker's clock, and the line.
pub(super) type Line = (jiff::Timestamp, String);

impl Container {
    /// Creates a container, unpacks its files and starts it. `name` must be unique on the site.
    pub(super) async fn start(site: &Site, name: &str, launch: Launch<'_>) -> Result<Container, Error> {
        let name = format!("{}-{name}", site.name());
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        site.docker().create_container(Some(options), body(site, &launch)).await?;
        let image = launch.image.name.clone();
        let container = Container { docker: site.docker().clone(), name, image, port: launch.port };
        if let Some(files) = launch.files {
            container.upload(files).await?;
        }
        container.start_again().await?;
        Ok(container)
    }

    /// Name of its image.
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    async fn upload(&self, archive: Archive) -> Result<(), Error> {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        Ok(self.docker.upload_to_container(&self.name, Some(options), body_try_stream(archive.into_stream())).await?)
    }

    /// Copies the directory `path` out, into the directory `to`.
    pub(super) async fn download(&self, path: &str, to: &Path) -> Result<(), Error> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let stream = self.docker.download_from_container(&self.name, Some(options)).map_err(Error::from);
        Archive::from_stream(stream).await?.unpack(to)
    }

    /// Starts it after it has ended.
    pub(super) async fn start_again(&self) -> Result<(), Error> {
        Ok(self.docker.start_container(&self.name, None).await?)
    }

    /// Asks it to end, and kills it after this number of seconds.
    pub(super) async fn stop(&self, seconds: i32) -> Result<(), Error> {
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        Ok(self.docker.stop_container(&self.name, Some(options)).await?)
    }

    /// Removes it, running or not.
    pub(super) async fn remove(self) -> Result<(), Error> {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        Ok(self.docker.remove_container(&self.name, Some(force)).await?)
    }

    async fn state(&self) -> Result<ContainerState, Error> {
        Ok(self.docker.inspect_container(&self.name, None).await?.state.unwrap_or_default())
    }

    /// When it was last started.
    pub(super) async fn started(&self) -> Result<Option<jiff::Timestamp>, Error> {
        Ok(self.state().await?.started_at.and_then(|time| time.parse().ok()))
    }

    /// Exit code, if it has ended.
    pub(super) async fn exit_code(&self) -> Result<Option<i64>, Error> {
        let state = self.state().await?;
        Ok(if state.running == Some(true) { None } else { state.exit_code })
    }

    /// Address at which its port is published.
    pub(super) async fn address(&self) -> Result<String, Error> {
        let inspected = self.docker.inspect_container(&self.name, None).await?;
        let mut ports = inspected.network_settings.and_then(|settings| settings.ports).unwrap_or_default();
        let bindings = ports.remove(&tcp(self.port)).flatten().unwrap_or_default();
        let port = bindings.into_iter().find_map(|binding| binding.host_port);
        let port = port.ok_or_else(|| Error::Ended { node: self.name.clone() })?;
        Ok(format!("{}:{port}", daemon_host()))
    }

    /// Waits until it has printed a line with this text on standard output.
    pub(super) async fn wait_for_line(&self, text: &str, timeout: Duration) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        while !self.lines().await?[0].iter().any(|(_, line)| line.contains(text)) {
            if Instant::now() > end {
                return Err(Error::Timeout { what: format!("{text} from {}", self.name), seconds: timeout.as_secs() });
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// What it printed on standard output, and on standard error.
    pub(super) async fn lines(&self) -> Result<[Vec<Line>; 2], Error> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).build();
        let mut printed = [Vec::new(), Vec::new()];
        let mut logs = self.docker.logs(&self.name, Some(options));
        while let Some(output) = logs.try_next().await? {
            match output {
                LogOutput::StdErr { message } => printed[1].extend_from_slice(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    printed[0].extend_from_slice(&message);
                }
                LogOutput::StdIn { .. } => {}
            }
        }
        Ok(printed.map(|bytes| String::from_utf8_lossy(&bytes).lines().filter_map(line).collect()))
    }
}

fn body(site: &Site, launch: &Launch<'_>) -> ContainerCreateBody {
    // The daemon's name server knows names without the dot of the root.
    let alias = launch.host.trim_end_matches('.').to_owned();
    let endpoint = EndpointSettings { aliases: Some(vec![alias]), ..EndpointSettings::default() };
    let binding = PortBinding { host_ip: Some(publish_on().to_owned()), host_port: None };
    ContainerCreateBody {
        image: Some(launch.image.name.clone()),
        cmd: Some(launch.image.prefix.iter().chain(&launch.command).cloned().collect()),
        labels: Some(HashMap::from([(LABEL.to_owned(), site.name().to_owned())])),
        exposed_ports: Some(vec![tcp(launch.port)]),
        host_config: Some(HostConfig {
            network_mode: Some(site.name().to_owned()),
            port_bindings: Some(HashMap::from([(tcp(launch.port), Some(vec![binding]))])),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(site.name().to_owned(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

fn line(text: &str) -> Option<Line> {
    let (time, line) = text.split_once(' ')?;
    Some((time.parse().ok()?, line.to_owned()))
}

/// Host name of the daemon, as we reach it.
fn daemon_host() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let remote = host.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':'));
    remote.map_or_else(|| "127.0.0.1".to_owned(), |(host, _)| host.to_owned())
}

/// Address on which the daemon publishes ports: only a remote one has to leave its loopback.
fn publish_on() -> &'static str {
    if daemon_host() == "127.0.0.1" { "127.0.0.1" } else { "0.0.0.0" }
}
