//! One container, by Docker's own API: testcontainers gives no aliases, and copies no directory out.

use std::collections::HashMap;
use std::path::Path;

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

use super::archive::Archive;
use super::site::Site;
use super::{Error, LABEL};

/// What a container runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Launch {
    /// The image.
    pub image: String,
    /// Its arguments, behind the entrypoint.
    pub command: Vec<String>,
    /// Name by which others on the network reach it.
    pub host: String,
    /// Port that is published to us.
    pub port: u16,
}

/// A container of a [`Site`], which removes it.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    name: String,
    port: u16,
}

/// What a container printed: time by Docker's clock, and the line.
pub(super) type Line = (jiff::Timestamp, String);

impl Container {
    /// Makes a container; nothing runs yet. `name` must be unique on the site.
    pub(super) async fn create(site: &Site, name: &str, launch: Launch) -> Result<Container, Error> {
        let name = format!("{}-{name}", site.name());
        // The daemon's name server knows names without the dot of the root.
        let alias = launch.host.trim_end_matches('.').to_owned();
        let endpoint = EndpointSettings { aliases: Some(vec![alias]), ..EndpointSettings::default() };
        let port = format!("{}/tcp", launch.port);
        let binding = PortBinding { host_ip: Some(publish_on().to_owned()), host_port: None };
        let body = ContainerCreateBody {
            image: Some(launch.image),
            cmd: Some(launch.command),
            labels: Some(HashMap::from([(LABEL.to_owned(), site.name().to_owned())])),
            exposed_ports: Some(vec![port.clone()]),
            host_config: Some(HostConfig {
                network_mode: Some(site.name().to_owned()),
                port_bindings: Some(HashMap::from([(port, Some(vec![binding]))])),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(site.name().to_owned(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        site.docker().create_container(Some(options), body).await?;
        Ok(Container { docker: site.docker().clone(), name, port: launch.port })
    }

    /// Unpacks an archive at the root of its file system.
    pub(super) async fn upload(&self, archive: Archive) -> Result<(), Error> {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        Ok(self.docker.upload_to_container(&self.name, Some(options), body_try_stream(archive.into_stream())).await?)
    }

    /// Copies the directory `path` out, into the directory `to`.
    pub(super) async fn download(&self, path: &str, to: &Path) -> Result<(), Error> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let stream = self.docker.download_from_container(&self.name, Some(options)).map_err(Error::from);
        Archive::from_stream(stream).await?.unpack(to)
    }

    pub(super) async fn start(&self) -> Result<(), Error> {
        Ok(self.docker.start_container(&self.name, None).await?)
    }

    /// Asks it to end, and kills it after so many seconds.
    pub(super) async fn stop(&self, seconds: i32) -> Result<(), Error> {
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        Ok(self.docker.stop_container(&self.name, Some(options)).await?)
    }

    pub(super) async fn state(&self) -> Result<ContainerState, Error> {
        Ok(self.docker.inspect_container(&self.name, None).await?.state.unwrap_or_default())
    }

    /// Removes it, running or not.
    pub(super) async fn remove(self) -> Result<(), Error> {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        Ok(self.docker.remove_container(&self.name, Some(force)).await?)
    }

    /// When it was started last.
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
        let bindings = ports.remove(&format!("{}/tcp", self.port)).flatten().unwrap_or_default();
        let port = bindings.into_iter().find_map(|binding| binding.host_port).ok_or_else(|| Error::Node {
            node: self.name.clone(),
            reason: "its port is not published: it has ended".to_owned(),
        })?;
        Ok(format!("{}:{port}", daemon_host()))
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
