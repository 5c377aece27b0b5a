//! A network of its own, and the promise that nothing on it is left behind.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

use testcontainers::bollard::Docker;
use testcontainers::bollard::models::NetworkCreateRequest;
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;

use super::{Error, LABEL};

/// A network and the containers on it; all carry [`LABEL`] with the site's name.
///
/// When it is dropped, all of them are removed, also by a panic or when a run is given up.
#[derive(Debug)]
pub struct Site {
    name: String,
    docker: Docker,
    /// Number of names that were handed out: none is used twice.
    named: AtomicUsize,
    ended: bool,
}

/// Whether a Docker daemon answers.
///
/// # Errors
/// [`Error::NoDocker`], which says what to do.
pub async fn docker_answers() -> Result<(), Error> {
    let fail = |error: String| Error::NoDocker { reason: error };
    let client = docker_client_instance().await.map_err(|error| fail(error.to_string()))?;
    client.version().await.map(drop).map_err(|error| fail(error.to_string()))
}

impl Site {
    /// Makes a network with a name that no other has: `oci<process>-<random>`.
    pub async fn create() -> Result<Site, Error> {
        let docker = docker_client_instance().await.map_err(|error| Error::NoDocker { reason: error.to_string() })?;
        let random = RandomState::new().hash_one(()) & 0xffff_ffff;
        let name = format!("oci{}-{random:08x}", std::process::id());
        let labels = Some(HashMap::from([(LABEL.to_owned(), name.clone())]));
        // Made before the request: when that is given up half way, the network may be there all the same.
        let site = Site { name, docker, named: AtomicUsize::new(0), ended: false };
        let request = NetworkCreateRequest { name: site.name.clone(), labels, ..NetworkCreateRequest::default() };
        site.docker.create_network(request).await?;
        Ok(site)
    }

    /// Name of the network; those of the containers begin with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A name for a container that no other on this site has: `<kind>-<number>`.
    pub(super) fn next_name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.named.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Leaves everything as it is.
    pub fn keep(mut self) {
        self.ended = true;
    }

    /// Removes the containers and the network.
    pub async fn end(mut self) -> Result<(), Error> {
        sweep(&self.docker, &self.name).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let name = self.name.clone();
        // A thread and a client of its own: the runtime that we are dropped in may be ending. When it fails there is
        // nobody left to tell; `docker ps` with the label shows what remains.
        let swept = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            let _ = runtime.block_on(async { sweep(&Docker::connect_with_defaults()?, &name).await });
        });
        let _ = swept.join();
    }
}

/// Removes the containers and networks of the site `name`.
async fn sweep(docker: &Docker, name: &str) -> Result<(), Error> {
    let label = HashMap::from([("label".to_owned(), vec![format!("{LABEL}={name}")])]);
    let all = ListContainersOptionsBuilder::new().all(true).filters(&label).build();
    for container in docker.list_containers(Some(all)).await? {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = docker.remove_container(&container.id.unwrap_or_default(), Some(force)).await;
        gone_is_fine(removed)?;
    }
    let networks = ListNetworksOptionsBuilder::new().filters(&label).build();
    for network in docker.list_networks(Some(networks)).await? {
        gone_is_fine(docker.remove_network(&network.id.unwrap_or_default()).await)?;
    }
    Ok(())
}

/// Somebody else may remove it at the same time: 404, or 409 while that goes on.
fn gone_is_fine(result: Result<(), testcontainers::bollard::errors::Error>) -> Result<(), Error> {
    use testcontainers::bollard::errors::Error::DockerResponseServerError;
    match result {
        Err(DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        other => Ok(other?),
    }
}
