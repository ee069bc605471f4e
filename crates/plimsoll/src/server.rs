//! A running server: put together from the crates, started, and stopped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use content::Content;
use identity::Identity;
use store::{AllotmentFilter, Clock, Database, Options, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::apply::{self, Applier};
use crate::compose::{self, Parts};
use crate::config::{Config, SiteText};
use crate::fault::{Doing, Fault};
use crate::folder::Folder;
use crate::net::front::{Front, Stage};
use crate::net::listen;
use crate::net::tls;
use crate::sample::{self, FirstLogin, Ids};
use crate::startup::Startup;

/// How often what is over is swept away: sessions, tokens.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How many pools are looked at for the warning at the start.
const POOLS_MAX: usize = 1000;
/// How long what was cut off may take to notice.
const CUT_OFF_MAX: Duration = Duration::from_secs(1);

/// A server that runs in this process. Dropping it cuts it off; [`Server::stop`] lets it finish.
pub struct Server {
    address: SocketAddr,
    is_https: bool,
    stage: watch::Sender<Stage>,
    gone: mpsc::Receiver<()>,
    drain: Duration,
    sweeping: JoinHandle<()>,
    first_login: Option<FirstLogin>,
    identity: Identity,
    store: Store,
    content: Content,
    // Last: another server may have the folder when nothing of this one is left.
    _folder: Arc<Folder>,
}

impl Server {
    /// Starts a server. When this returns, it answers.
    pub async fn start(config: Config) -> Result<Server, Fault> {
        let Config { data, listen, database, tls, site, clock, drain } = config;
        let folder = Arc::new(take(data).await?);
        let listener = listen::bind_net(listen).await?;
        let address = listener.local_addr().doing("ask where it listens")?;
        let tls = tls.map(|(chain, key)| tls::acceptor(&chain, &key)).transpose()?;
        let is_https = tls.is_some();
        let site = site.map(|SiteText { text, folder }| apply::parse(&text, Some(&folder))).transpose()?;

        let startup = Startup::of(site.as_ref());
        let store = open(&folder, database.as_deref(), clock.clone(), resources(site.as_ref())).await?;
        // Only the embedded database is nobody else's, so only there may what was looked up be remembered.
        let identity = Identity::new(store.clone(), identity::Settings { cache: database.is_none() });
        let identity = identity.sealing_with(startup.site_key()?);
        let applier = Applier::new(store.clone(), identity.clone());
        let mut first_login = None;
        match site {
            Some(site) => applier.apply(site, false).await.map(drop)?,
            None if applier.base().await?.is_none() => {
                first_login = Some(first_site(&folder, &applier, &identity).await?)
            }
            None => {}
        }
        let startup = startup.or_base(applier.base().await?.as_ref())?;
        warn_of_promises(&folder, &store).await?;
        let content = Content::new(store.clone(), folder.path().to_owned(), startup.content_key()?);
        let parts =
            Parts { store: store.clone(), identity: identity.clone(), content: content.clone(), applier, startup };
        let router = compose::router(parts).await?;

        let (stage, watching) = watch::channel(Stage::Serving);
        let front = Front::new(router, clock, watching);
        let (alive, gone) = mpsc::channel(1);
        let local = listen::bind_local(folder.path())?;
        tokio::spawn(listen::serve_local(local, front.clone(), alive.clone()));
        tokio::spawn(listen::serve_net(listener, tls, front, alive));
        let sweeping = tokio::spawn(sweep(identity.clone()));
        Ok(Server {
            address,
            is_https,
            stage,
            gone,
            drain,
            sweeping,
            first_login,
            identity,
            store,
            content,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a browser on this machine finds it.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        format!("{}://{address}", if self.is_https { "https" } else { "http" })
    }

    /// Its store, for tests that look behind the API.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its people, likewise.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is told once, if a sample site was made.
    pub fn take_first_login(&mut self) -> Option<FirstLogin> {
        self.first_login.take()
    }

    /// Takes nothing new, finishes what runs, and ends. What is not finished in time is cut off.
    pub async fn stop(mut self) {
        self.stage.send_replace(Stage::Draining);
        if tokio::time::timeout(self.drain, self.gone.recv()).await.is_err() {
            tracing::warn!(drain_s = self.drain.as_secs(), "some requests were not finished in time and are cut off");
            self.stage.send_replace(Stage::Gone);
            // They have until then to notice; what does not is cut off with the process.
            let _ = tokio::time::timeout(CUT_OFF_MAX, self.gone.recv()).await;
        }
        self.sweeping.abort();
        self.content.volumes().stop().await;
        self.store.close().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Gone);
        self.sweeping.abort();
    }
}

/// Takes the folder and looks at its disk, off the runtime's threads.
async fn take(data: std::path::PathBuf) -> Result<Folder, Fault> {
    let taking = tokio::task::spawn_blocking(move || {
        let folder = Folder::take(&data)?;
        folder.probe()?;
        Ok(folder)
    });
    taking.await.doing("take the data folder")?
}

/// The resources that a site declares beside the built-in ones.
fn resources(site: Option<&site::Site>) -> Vec<String> {
    let built_in = ledger::Catalog::built_in();
    let own = site.into_iter().flat_map(|site| site.catalog.iter()).filter(|it| built_in.find(it.name()).is_none());
    own.map(|resource| resource.name().to_owned()).collect()
}

async fn open(folder: &Folder, database: Option<&str>, clock: Clock, resources: Vec<String>) -> Result<Store, Fault> {
    let readers = std::thread::available_parallelism().map_or(2, usize::from);
    let database = match database {
        Some(url) => Database::Postgres(url.to_owned()),
        None => Database::Sqlite(folder.database()),
    };
    let options = Options {
        database,
        clock,
        migrations: compose::migrations(),
        free_space_of: Some(folder.path().to_owned()),
        readers,
        resources,
    };
    Ok(Store::open(options).await?)
}

/// Says so when the pools promise more bytes than the disk has: the limits would hold, and the disk would not.
async fn warn_of_promises(folder: &Folder, store: &Store) -> Result<(), Fault> {
    let filter = AllotmentFilter {
        kind: Some("pool".to_owned()),
        side: Some(ledger::Side::Supply),
        limit: POOLS_MAX,
        ..AllotmentFilter::default()
    };
    let pools = store.read(move |tx| store::allotments::list(tx, &filter)).await?;
    let limits = pools.iter().filter_map(|pool| pool.balance(ledger::Resource::BYTES).limit);
    let promised_bytes = limits.map(u128::from).sum::<u128>();
    let (free_bytes, disk_bytes) = folder.free()?;
    if promised_bytes > u128::from(disk_bytes) {
        let promised_bytes = u64::try_from(promised_bytes).unwrap_or(u64::MAX);
        tracing::warn!(promised_bytes, disk_bytes, free_bytes, "the pools promise more bytes than the disk has");
    }
    Ok(())
}

/// The sample, its passwords and its token.
async fn first_site(folder: &Folder, applier: &Applier, identity: &Identity) -> Result<FirstLogin, Fault> {
    let new_id = || Clock::system().new_id();
    let ids = Ids { repository: new_id(), project: new_id() };
    let (file, text) = sample::write(folder, ids)?;
    let site = apply::parse(&text, Some(folder.path()))?;
    applier.apply(site, false).await?;
    sample::first_login(identity, file, ids).await
}

async fn sweep(identity: Identity) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = identity.sweep().await {
            tracing::warn!(%error, "what is over could not be swept away; it is tried again in an hour");
        }
    }
}
