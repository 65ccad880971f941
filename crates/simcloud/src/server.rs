use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use skyfleet_core::{Clock, Error, ErrorKind, ManualClock, Region, Result};
use tokio::sync::oneshot;

use crate::catalog::Cloud;
use crate::credential::Credential;
use crate::scenario::Scenario;
use crate::server::admin::{Admin, FACES};
use crate::server::imds::{Attached, Imds};
use crate::server::worlds::Worlds;
use crate::world::World;

mod admin;
mod aws;
mod azure;
mod environment;
mod gcp;
pub(crate) mod imds;
mod listen;
mod reply;
mod share;
mod signature;
mod signature_v2;
mod worlds;

/// The clouds that a server plays, in the order of their ports.
pub(crate) const CLOUDS: [Cloud; 3] = [Cloud::Aws, Cloud::Gcp, Cloud::Azure];

/// How many threads answer. The worlds are locked for each call, so more would only wait.
const THREADS: usize = 2;

/// How long an end waits for whoever is answering just then.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a server is made of.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address to listen on: one of the loopback interface, or `localhost`.
    pub host: String,
    /// The first of four ports: admin, then AWS, GCP and Azure. Absent, the system chooses them.
    pub port: Option<u16>,
    /// Where all chance comes from.
    pub seed: u64,
    /// The time that the clouds live by.
    pub clock: Arc<dyn Clock>,
    /// The same clock, when the admin face may move it.
    pub manual: Option<ManualClock>,
    /// What happens in the clouds, told beforehand. Each takes from it what names its own zones
    /// and types, and what names none.
    pub scenario: Scenario,
    /// Whether machines run their user data as local processes.
    pub processes: bool,
    /// Only these regions of each cloud; a cloud of which none is named has all of its own.
    pub regions: Vec<Region>,
    /// Who may call, beside those that the scenario names. A cloud for which nobody is named lets
    /// everybody in.
    pub credentials: Vec<Credential>,
}

impl ServerOptions {
    /// On 127.0.0.1, ports chosen by the system, seed 0, without a scenario.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: None,
            seed: 0,
            clock,
            manual: None,
            scenario: Scenario::default(),
            processes: false,
            regions: Vec::new(),
            credentials: Vec::new(),
        }
    }

    /// The same, by a clock that `POST /v1/clock` moves.
    pub fn manual(clock: ManualClock) -> Self {
        Self { manual: Some(clock.clone()), ..Self::new(Arc::new(clock)) }
    }
}

/// Where the faces of a server are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Urls {
    /// The admin face, the web page and the metadata services.
    pub admin: String,
    /// EC2, and the small services beside it.
    pub aws: String,
    /// Compute Engine.
    pub gcp: String,
    /// Azure Resource Manager.
    pub azure: String,
}

/// The actions of EC2 that a server answers, in the order of their names.
pub fn aws_actions() -> Vec<&'static str> {
    crate::aws::action::names()
}

/// The methods of Compute Engine, and of the services beside it, that a server answers, in the order
/// of their names.
pub fn gcp_methods() -> Vec<&'static str> {
    crate::gcp::method::names()
}

/// The methods of Azure that a server answers, by the names under which they are counted, in order.
pub fn azure_methods() -> Vec<&'static str> {
    crate::azure::method::names()
}

/// The simulated clouds on the wire: three worlds by one clock, each behind its cloud's own
/// protocol, and an admin face over all of them. It listens on the loopback interface only.
///
/// It has threads and a runtime of its own: it is started from anywhere, and ends when it is
/// dropped.
///
/// ```
/// use skyfleet_core::{ManualClock, Timestamp};
/// use skyfleet_simcloud::{Cloud, Server, ServerOptions};
/// let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
/// let server = Server::start(ServerOptions::manual(clock))?;
/// assert!(server.urls().aws.starts_with("http://127.0.0.1:"));
/// assert!(server.world(Cloud::Aws).instances().is_empty());
/// server.stop();
/// # Ok::<(), skyfleet_core::Error>(())
/// ```
pub struct Server {
    urls: Urls,
    credentials: Vec<Credential>,
    worlds: Worlds,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server. When this returns, every face accepts connections.
    ///
    /// # Errors
    /// `InvalidConfig` for a host that is not loopback, a port without three more after it, names
    /// in the scenario or among the regions that no cloud has; `Unavailable` when a port is taken
    /// or the machine gives no thread.
    pub fn start(options: ServerOptions) -> Result<Self> {
        let host = listen::loopback(&options.host)?;
        let worlds = Worlds::new(&options)?;
        let [admin, aws, gcp, azure] = listen::bind(host, options.port)?;
        let urls = Urls { admin: admin.url(), aws: aws.url(), gcp: gcp.url(), azure: azure.url() };
        let credentials: Vec<Credential> =
            options.credentials.iter().chain(&options.scenario.credentials).cloned().collect();

        let answering = Arc::new(AtomicUsize::new(FACES));
        let desk = Admin {
            worlds: worlds.clone(),
            manual: options.manual,
            faces: answering.clone(),
            log: Mutex::default(),
        };
        let metadata = Imds::new(worlds.aws.clone(), options.seed);
        let google = imds::gcp::Service::new(worlds.gcp.clone(), &credentials);
        let microsoft = imds::azure::Service::new(worlds.azure.clone(), &credentials);
        let faces = [
            (
                admin,
                admin::router(Arc::new(desk))
                    .merge(imds::router(&metadata))
                    .merge(imds::gcp::router(&google))
                    .merge(imds::azure::router(&microsoft)),
            ),
            (aws, aws::router(&worlds.aws, &credentials)),
            (gcp, gcp::router(&worlds.gcp, &credentials)),
            (azure, azure::router(&worlds.azure, &credentials)),
        ];
        let (stop, stopped) = oneshot::channel();
        let driven = worlds.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("skyfleet-sim")
            .enable_all()
            .build()
            .map_err(|error| no_threads(&error))?;
        worlds.aws.world.serve_metadata(Attached::new(&metadata, runtime.handle().clone()));
        worlds.gcp.world.serve_metadata(Attached::new(&google, runtime.handle().clone()));
        worlds.azure.world.serve_metadata(Attached::new(&microsoft, runtime.handle().clone()));
        let thread = std::thread::Builder::new()
            .name("skyfleet-sim".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    for (listener, router) in faces {
                        let answering = answering.clone();
                        tokio::spawn(async move {
                            listener.serve(router).await;
                            answering.fetch_sub(1, Ordering::Relaxed);
                        });
                    }
                    driven.all().into_iter().for_each(|(_, world)| world.drive_if_needed());
                    drop(driven);
                    // An error means that the server was let go without a word: the same.
                    let _ = stopped.await;
                });
                // Waits for the workers: then the ports are free.
                runtime.shutdown_timeout(LAST_WORDS);
            })
            .map_err(|error| no_threads(&error))?;
        Ok(Self { urls, credentials, worlds, stop: Some(stop), thread: Some(thread) })
    }

    /// Where its faces are.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The world behind a cloud's face.
    ///
    /// # Panics
    /// For the neutral cloud, which has no face.
    pub fn world(&self, cloud: Cloud) -> &World {
        self.worlds.of(cloud).expect("the neutral cloud has no face, and so no world in a server")
    }

    /// Ends it: connections are closed, processes of machines killed. Dropping it does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for (_, world) in self.worlds.all() {
            if let Some(processes) = &world.0.processes {
                processes.kill_all();
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("urls", &self.urls).finish_non_exhaustive()
    }
}

fn no_threads(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the machine gives the simulated cloud no thread: {error}"))
}
