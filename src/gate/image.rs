//! The images that are booted: built from the oracle's sources on first use, or the user's own.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use futures_util::{StreamExt, TryStreamExt};
use rustix::process::{Pid, Signal, kill_process_group};
use testcontainers::bollard::models::BuildInfo;
use testcontainers::bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder};
use testcontainers::bollard::{Docker, body_try_stream};
use testcontainers::core::client::docker_client_instance;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::archive::{Archive, Packer};
use super::sources::Recipe;
use super::target::Target;
use super::{Error, Progress};
use crate::payload::{Release, Tried};

/// Builds one after the other: they use all processors, and two of one image would be one too many.
static BUILDING: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// The daemon builds it where there is no Go here.
const MULTI_STAGE: &str = "\
FROM golang:1.26 AS build
WORKDIR /oracle
COPY . .
ARG WANTED BINARY
RUN sh build.sh $WANTED && cp bin/$BINARY /main
FROM scratch
LABEL op-conductor-init.managed=true
COPY --from=build /main /main
ENTRYPOINT [\"/main\"]
";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the texts say what the fields are")]
pub enum NoImage {
    /// The registry doesn't have it, or doesn't answer.
    #[error("it can't be pulled: {message}")]
    Pull { message: String },
    /// The release can't be built any more.
    #[error(
        "{release} can't be built: its op-geth isn't served any more; {nearest} is the nearest that can, and --image takes an image of it"
    )]
    NotServed { release: &'static str, nearest: &'static str },
    /// Go, or the shell that calls it, could not be started.
    #[error("go build could not be started")]
    NoGo(#[source] io::Error),
    /// Go failed.
    #[error("go build failed: {message}")]
    Go { message: String },
    /// Docker failed to build it.
    #[error("{message}; with Go on the PATH, no image has to be pulled")]
    Docker { message: String },
    /// It isn't an op-conductor.
    #[error("its --help has no --raft.server.id: it is not an op-conductor")]
    NotOpConductor,
}

/// An image on the daemon, and how to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name and tag.
    pub name: String,
    /// What comes before our arguments: the command, where an image has no entrypoint.
    pub(super) prefix: Vec<String>,
    /// Number of the user and the group that it runs as.
    pub(super) owner: (u64, u64),
}

impl Image {
    /// The image of a target; built, or pulled, when it isn't there.
    pub async fn of(target: &Target, progress: Progress<'_>) -> Result<Image, Error> {
        match target {
            Target::Raft(version) => {
                let tag = format!("oracle:raft-{version}");
                built(&tag, version, &format!("oracle-raft-{version}"), &Recipe::raft(version), progress).await
            }
            Target::Conductor(release) => {
                can_be_built(release)?;
                let (name, binary) = (release.name, format!("op-conductor-{}", release.name));
                built(&format!("op-conductor:{name}"), &target.to_string(), &binary, &Recipe::conductor(name), progress)
                    .await
            }
            Target::Image(name) => present(name, progress).await,
        }
    }

    /// The image of the stub.
    pub async fn stub(progress: Progress<'_>) -> Result<Image, Error> {
        built("stub:v0.9.4", "stub", "stub", &Recipe::stub(), progress).await
    }
}

fn can_be_built(release: &Release) -> Result<(), Error> {
    match release.tried {
        Tried::Built { .. } => Ok(()),
        Tried::Like { release: nearest } => {
            let image = format!("op-conductor:{}", release.name);
            Err(Error::NoImage { image, reason: NoImage::NotServed { release: release.name, nearest } })
        }
    }
}

/// The user's image, from the daemon or its registry.
async fn present(name: &str, progress: Progress<'_>) -> Result<Image, Error> {
    let docker = client().await?;
    if docker.inspect_image(name).await.is_err() {
        progress(&format!("pulling {name}"));
        let options = CreateImageOptionsBuilder::new().from_image(name).build();
        let pulled = docker.create_image(Some(options), None, None).try_for_each(|_| async { Ok(()) }).await;
        pulled.map_err(|error| Error::NoImage {
            image: name.to_owned(),
            reason: NoImage::Pull { message: error.to_string() },
        })?;
    }
    inspect(&docker, name).await
}

async fn inspect(docker: &Docker, name: &str) -> Result<Image, Error> {
    let config = docker.inspect_image(name).await?.config.unwrap_or_default();
    let has_entrypoint = config.entrypoint.is_some_and(|entrypoint| !entrypoint.is_empty());
    let prefix = if has_entrypoint { Vec::new() } else { config.cmd.unwrap_or_default() };
    Ok(Image { name: name.to_owned(), prefix, owner: owner(&config.user.unwrap_or_default()) })
}

/// `uid:gid` as numbers; names mean nothing outside the image, and are taken for root.
fn owner(user: &str) -> (u64, u64) {
    let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
    (uid.parse().unwrap_or(0), gid.parse().unwrap_or(0))
}

/// An image of ours, whose tag ends in the hash of its sources.
async fn built(tag: &str, wanted: &str, binary: &str, recipe: &Recipe, progress: Progress<'_>) -> Result<Image, Error> {
    let name = format!("op-conductor-init/{tag}-{}", recipe.hash());
    let docker = client().await?;
    let _one_at_a_time = BUILDING.lock().await;
    if docker.inspect_image(&name).await.is_err() {
        progress(&format!("building {name}: a minute or two, the first time"));
        build(&docker, &name, wanted, binary, recipe).await?;
    }
    inspect(&docker, &name).await
}

async fn build(docker: &Docker, name: &str, wanted: &str, binary: &str, recipe: &Recipe) -> Result<(), Error> {
    let directory = tempfile::Builder::new()
        .prefix("op-conductor-init-build-")
        .tempdir()
        .map_err(|source| Error::Io { path: std::env::temp_dir(), source })?;
    let fail = |source| Error::Io { path: directory.path().to_owned(), source };
    recipe.write(directory.path()).map_err(fail)?;
    let arch = docker.version().await?.arch.unwrap_or_default();
    let context = if has_go().await {
        compile(name, directory.path(), wanted, &arch).await?;
        let dockerfile = std::fs::read(directory.path().join("Dockerfile")).map_err(fail)?;
        let program = std::fs::read(directory.path().join("bin").join(binary)).map_err(fail)?;
        Packer::new((0, 0))?.bytes("Dockerfile", &dockerfile)?.bytes(binary, &program)?.finish()?
    } else {
        Packer::new((0, 0))?.directory(".", directory.path())?.bytes("Dockerfile", MULTI_STAGE.as_bytes())?.finish()?
    };
    assemble(docker, name, wanted, binary, context).await
}

async fn has_go() -> bool {
    let version = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}

/// Ends a build and what it started, when it is given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Builds the binary here, for the daemon's processor.
async fn compile(name: &str, directory: &Path, wanted: &str, arch: &str) -> Result<(), Error> {
    let fail = |reason| Error::NoImage { image: name.to_owned(), reason };
    let mut command = Command::new("sh");
    // Go's own scratch goes with the directory, also when it is killed.
    let scratch = directory.join("tmp");
    std::fs::create_dir(&scratch).map_err(|error| fail(NoImage::NoGo(error)))?;
    command.arg("build.sh").arg(wanted).current_dir(directory).env("GOOS", "linux").env("GOTMPDIR", scratch);
    command.process_group(0);
    if !arch.is_empty() {
        command.env("GOARCH", arch);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|error| fail(NoImage::NoGo(error)))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let output = child.wait_with_output().await.map_err(|error| fail(NoImage::NoGo(error)))?;
    group.0 = None;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(fail(NoImage::Go { message: last_lines(&said) }));
    }
    Ok(())
}

async fn assemble(docker: &Docker, name: &str, wanted: &str, binary: &str, context: Archive) -> Result<(), Error> {
    let arguments = [("WANTED", wanted), ("BINARY", binary)].into();
    let options = BuildImageOptionsBuilder::new().t(name).rm(true).forcerm(true).buildargs(&arguments).build();
    let mut output = docker.build_image(options, None, Some(body_try_stream(context.into_stream())));
    let mut said = String::new();
    while let Some(step) = output.next().await {
        let error = match step {
            Ok(BuildInfo { stream, error_detail: None, .. }) => {
                said += &stream.unwrap_or_default();
                continue;
            }
            Ok(BuildInfo { error_detail: Some(detail), .. }) => detail.message.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let reason = NoImage::Docker { message: format!("{error}: {}", last_lines(&said)) };
        return Err(Error::NoImage { image: name.to_owned(), reason });
    }
    Ok(())
}

/// The end of what a build said, in one line.
fn last_lines(said: &str) -> String {
    // Docker colours what went to standard error.
    let said = said.replace("\u{1b}[91m", "").replace("\u{1b}[0m", "");
    let mut last: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(3).collect();
    last.reverse();
    last.join("; ")
}

async fn client() -> Result<Docker, Error> {
    docker_client_instance().await.map_err(|error| Error::NoDocker { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_user_of_the_image() {
        assert_eq!(owner(""), (0, 0));
        assert_eq!(owner("65532:100"), (65532, 100));
        assert_eq!(owner("1000"), (1000, 0));
        assert_eq!(owner("nobody"), (0, 0));
    }
}
