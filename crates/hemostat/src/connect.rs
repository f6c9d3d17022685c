//! Reaches for the outside: the event log, the container engine, a port for the health endpoints.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hemostat_agent::containers::Containers;
use hemostat_agent::log::EventLog as _;
use hemostat_docker::{DockerEngine, EngineSettings};
use hemostat_event::HostName;
use hemostat_redis::bridge::{OldSide, SideError};
use hemostat_redis::managed::{ManagedRedis, ManagedSettings};
use hemostat_redis::{Access, ConnectError, RedisLog, RedisSettings};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Listen, Secret};
use crate::exit::{Failure, OrFailure};

/// Time between two looks for a log that somebody else has to make.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Connects to the Redis of the configuration, or to the private one that `hemostat up` runs on this host.
///
/// # Errors
/// Exit 3 when there is none or it does not answer.
pub(crate) async fn log(config: &Config) -> Result<RedisLog, Failure> {
    let url = match &config.redis.url {
        Some(url) => return open(config, url, &access(config)?).await,
        None => private_url(config)?,
    };
    open(config, &url, &Access::default()).await
}

/// The same for those who only read: waits until there is a log where their user may not make one; [`None`] when `stop`
/// is cancelled before.
///
/// # Errors
/// As for [`log`].
pub(crate) async fn log_of_others(
    config: &Config,
    stop: &CancellationToken,
) -> Result<Option<RedisLog>, Failure> {
    let mut is_told = false;
    loop {
        let not_made = match log(config).await {
            Err(Failure::Unreachable(error)) if is_not_made(&error) => error,
            other => return other.map(Some),
        };
        if !is_told {
            tracing::info!("waiting: {not_made:#}");
            is_told = true;
        }
        if stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_none() {
            return Ok(None);
        }
    }
}

fn is_not_made(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ConnectError::NotMade(_)))
}

/// Starts the private Redis where none is configured.
///
/// # Errors
/// Exit 3 when there is no redis-server, or the configured one does not answer.
pub(crate) async fn log_or_private(config: &Config) -> Result<(RedisLog, Option<ManagedRedis>), Failure> {
    if let Some(url) = &config.redis.url {
        return Ok((open(config, url, &access(config)?).await?, None));
    }
    let managed = ManagedRedis::start(ManagedSettings { data_dir: data_dir(config)?, binary: None }).await;
    let managed = managed.context("failed to start a private Redis (or set redis.url)").or_unreachable()?;
    let log = open(config, &Secret::new(managed.url().to_owned()), &Access::default()).await?;
    Ok((log, Some(managed)))
}

/// Connects to the Redis of the Python agents, which is that of the log where nothing else is said.
///
/// # Errors
/// Exit 2 when it is a cluster, which they do not know, exit 3 when it does not answer.
pub(crate) async fn old_side(config: &Config) -> Result<Arc<OldSide>, Failure> {
    let own = match (&config.bridge.url, &config.redis.url) {
        (Some(url), _) => OldSide::connect(url.reveal(), &Access::default()).await,
        (None, Some(url)) => OldSide::connect(url.reveal(), &access(config)?).await,
        (None, None) => OldSide::connect(private_url(config)?.reveal(), &Access::default()).await,
    };
    match own {
        Ok(side) => Ok(Arc::new(side)),
        Err(error @ SideError::Cluster) => Err(Failure::Usage(error.into())),
        Err(error) => Err(error).context("failed to reach the Redis of the Python agents").or_unreachable(),
    }
}

/// Refuses a log that a replay has made: what stands in it has been already, and an agent would act on it again.
///
/// # Errors
/// Exit 2 when it is one, exit 3 when it does not say.
pub(crate) async fn refuse_shadow(log: &RedisLog) -> Result<(), Failure> {
    if log.is_shadow().await.context("failed to ask the event log what it is").or_unreachable()? {
        return Err(Failure::Usage(anyhow!(
            "the log of redis.namespace is a shadow, which plays the past; agents do not run on it \
             (`hemostat-replay play --agents` has some that do nothing)"
        )));
    }
    Ok(())
}

async fn open(config: &Config, url: &Secret, access: &Access) -> Result<RedisLog, Failure> {
    let settings = RedisSettings {
        url: url.reveal().to_owned(),
        namespace: config.redis.namespace.clone(),
        partitions: config.redis.partitions,
    };
    let log = RedisLog::connect_with(settings, access)
        .await
        .context("failed to open the event log at redis.url (HEMOSTAT_REDIS_URL)")
        .or_unreachable()?;
    tracing::debug!(found = log.found(), partitions = log.partitions().len(), "the event log is open");
    let log = log.with_durability(config.durability).await.context("durability").or_unreachable()?;
    for warning in log.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(log)
}

/// What the configured Redis wants to know of its clients.
fn access(config: &Config) -> Result<Access, Failure> {
    let redis = &config.redis;
    let read = |key: &str, path: &Option<PathBuf>| match path {
        None => Ok(None),
        Some(path) => {
            let bytes =
                std::fs::read(path).with_context(|| format!("failed to read `{}` ({key})", path.display()));
            bytes.or_usage().map(Some)
        }
    };
    let identity =
        match (read("redis.cert_file", &redis.cert_file)?, read("redis.key_file", &redis.key_file)?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(Failure::Usage(anyhow!(
                    "redis.cert_file and redis.key_file belong together; set both or none"
                )));
            }
        };
    Ok(Access {
        user: redis.user.clone(),
        password: redis.password.as_ref().map(|password| password.reveal().to_owned()),
        authorities: read("redis.ca_file", &redis.ca_file)?,
        identity,
    })
}

fn private_url(config: &Config) -> Result<Secret, Failure> {
    let found = ManagedRedis::find(&data_dir(config)?);
    found.map(Secret::new).ok_or_else(|| {
        Failure::Unreachable(anyhow!(
            "no Redis is configured and no private one runs on this host; set redis.url \
             (HEMOSTAT_REDIS_URL) or start `hemostat up`"
        ))
    })
}

/// The folder of the private Redis.
///
/// # Errors
/// Exit 2 when nothing says where it could be.
pub(crate) fn data_dir(config: &Config) -> Result<PathBuf, Failure> {
    let home = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    config
        .data_dir
        .clone()
        .or_else(|| home("XDG_DATA_HOME").map(|data| data.join("hemostat")))
        .or_else(|| home("HOME").map(|home| home.join(".local/share/hemostat")))
        .ok_or_else(|| Failure::Usage(anyhow!("there is no home folder; set data_dir (HEMOSTAT_DATA_DIR)")))
}

/// The container engine, probed, and its host as the log names it.
///
/// # Errors
/// Exit 3 with what to do when it cannot be reached.
pub(crate) async fn engine(config: &Config) -> Result<(Arc<DockerEngine>, HostName), Failure> {
    let settings = EngineSettings { host: config.docker_host.clone(), ..EngineSettings::default() };
    let engine = Arc::new(DockerEngine::connect(settings).or_unreachable()?);
    let info = engine.info().await.or_unreachable()?;
    let host = match &config.host {
        Some(host) => host.clone(),
        None => host_name(&info.host),
    };
    Ok((engine, host))
}

/// A host name for the log from whatever the system calls itself.
#[must_use]
pub(crate) fn host_name(name: &str) -> HostName {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let fitting: String = name.chars().map(fit).take(253).collect();
    HostName::new(fitting)
        .unwrap_or_else(|_empty| HostName::new("localhost").expect("a plain word is a host name"))
}

/// The name of this machine, for agents that reach no engine.
#[must_use]
pub(crate) fn own_host(config: &Config) -> HostName {
    config.host.clone().unwrap_or_else(|| host_name(&rustix::system::uname().nodename().to_string_lossy()))
}

/// Who orders something at this terminal: `user@host`.
#[must_use]
pub(crate) fn operator() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = named.filter(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// The listener of the health endpoints, where one is wanted.
///
/// # Errors
/// Exit 3 when the wanted address is taken.
pub(crate) async fn listener(listen: Listen) -> Result<Option<TcpListener>, Failure> {
    let bind = |address: SocketAddr| async move {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen on {address} (http.listen)"))
    };
    match listen {
        Listen::Off => Ok(None),
        Listen::At(address) => bind(address).await.map(Some).or_unreachable(),
        Listen::Preferably(address) => match bind(address).await {
            Ok(listener) => Ok(Some(listener)),
            // Nobody asked for this port, so another one serves as well; the log says which.
            Err(_taken) => bind(SocketAddr::new(address.ip(), 0)).await.map(Some).or_unreachable(),
        },
    }
}
