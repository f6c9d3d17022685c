//! Opening a log: is this a Redis that can keep it, and is it the log that is meant.

use std::fmt;
use std::sync::Arc;

use hemostat_agent::log::{BoxError, LogError};
use redis::Value;

use crate::access::Access;
use crate::fault::{self, Effect};
use crate::keys::Keys;
use crate::link::{Ground, Link};
use crate::log::RedisLog;
use crate::place::Place;
use crate::reply;
use crate::shadow;
use crate::shared::Shared;

/// Where the log is.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://…` with TLS, `unix:///path/to/socket`,
    /// `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name[/db]` or
    /// `redis+cluster://[user:password@]host[:port][,host[:port]…]`; any node of a cluster will do.
    pub url: String,
    /// What all keys begin with.
    pub namespace: String,
    /// Partitions of the log; what the log was made with where it is `None`, and 1 for a new one, or 16 on a
    /// cluster.
    pub partitions: Option<u16>,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may have a password.
        let mut debug = f.debug_struct("RedisSettings");
        debug
            .field("namespace", &self.namespace)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be read, or names something this build cannot speak.
    #[error(
        "the URL of Redis is not valid (redis://host:6379, rediss://host:6379, unix:///path/to/socket, \
             redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379)"
    )]
    Url(#[source] BoxError),
    /// A certificate or a key cannot be read.
    #[error(
        "the certificates for Redis cannot be used (redis.ca_file, redis.cert_file, redis.key_file: PEM)"
    )]
    Certificates(#[source] BoxError),
    /// Certificates are of no use without TLS.
    #[error("certificates for Redis are configured, and its URL is not encrypted; use rediss://")]
    NotEncrypted,
    /// The namespace would spoil the keys.
    #[error("`{0}` is not a namespace (1 to 64 letters, digits, `:`, `.`, `-`, `_`)")]
    Namespace(String),
    /// A log has at least one partition.
    #[error("a log cannot have 0 partitions")]
    NoPartitions,
    /// The server lacks what the scripts need.
    #[error("this Redis is version {0}; version 7.0 or later is needed")]
    TooOld(String),
    /// The server would throw parts of the log away.
    #[error(
        "this Redis throws keys away when it is full (maxmemory-policy `{0}`), which would tear holes into the log; \
         set `maxmemory-policy noeviction` in redis.conf, or: redis-cli CONFIG SET maxmemory-policy noeviction"
    )]
    Evicts(String),
    /// The number of partitions is fixed when a log is made: it decides where everything is.
    #[error(
        "the log `{namespace}` was made with {recorded} partition(s) and cannot be opened with {configured}; \
         set redis.partitions to {recorded}, leave it out, or begin a new log under another redis.namespace"
    )]
    Partitions {
        /// The log.
        namespace: String,
        /// Partitions it was made with.
        recorded: u16,
        /// Partitions of the settings.
        configured: u16,
    },
    /// There is no log, and this user may not make one. It passes as soon as somebody else has made it.
    #[error("there is no log `{0}` yet, and this user of Redis may not make one; start an agent first")]
    NotMade(String),
    /// A replay writes into no log that was there before it.
    #[error("there is a log `{0}` that no replay has made; name another namespace for the shadow")]
    NoShadow(String),
    /// A later version made this log.
    #[error("the log `{namespace}` has layout {layout}, and this version knows {LAYOUT}; upgrade this agent")]
    Layout {
        /// The log.
        namespace: String,
        /// Its layout.
        layout: String,
    },
    /// The server cannot make writes as safe as the settings say.
    #[error("this Redis cannot put writes on its disk when asked (durability `fsync`): {0}")]
    Durability(String),
    /// Redis is away or refuses.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Version of the layout of keys and fields.
const LAYOUT: &str = "1";
/// Partitions of a new log: enough for what one Redis can do.
const PARTITIONS_DEFAULT: u16 = 1;
/// Partitions of a new log on a cluster: enough for some nodes to have about as many each.
const PARTITIONS_OF_CLUSTER: u16 = 16;

impl RedisSettings {
    /// Whether a log could be at this URL, for those who check a configuration before anything is connected to.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when it cannot be read.
    pub fn check_url(url: &str) -> Result<(), ConnectError> {
        Place::read(url).map(drop).map_err(|error| ConnectError::Url(error.into()))
    }
}

impl RedisLog {
    /// Opens the log, making it where there is none.
    ///
    /// # Errors
    /// [`ConnectError`] says what to change; [`ConnectError::Log`] may pass by itself.
    pub async fn connect(settings: RedisSettings) -> Result<Self, ConnectError> {
        Self::connect_with(settings, &Access::default()).await
    }

    /// The same, with what the server wants to know besides.
    ///
    /// # Errors
    /// As for [`RedisLog::connect`].
    pub async fn connect_with(settings: RedisSettings, access: &Access) -> Result<Self, ConnectError> {
        Self::open(settings, access, false).await
    }

    pub(crate) async fn open(
        settings: RedisSettings,
        access: &Access,
        is_shadow: bool,
    ) -> Result<Self, ConnectError> {
        let RedisSettings { url, namespace, partitions } = settings;
        let keys = Keys::new(&namespace).ok_or_else(|| ConnectError::Namespace(namespace.clone()))?;
        if partitions == Some(0) {
            return Err(ConnectError::NoPartitions);
        }
        let place = Place::read(&url).map_err(|error| ConnectError::Url(error.into()))?;
        let place = place.prepared(|info| access.prepare(info))?;
        let link = Link::reach(place, keys.prefix()).await?;
        let servers = servers(&link).await?;
        servers.iter().try_for_each(Server::check)?;
        let mut warnings = Vec::new();
        // One of those that keep no append-only file speaks for all of them.
        if let Some(server) = servers.iter().find(|server| !server.append_only) {
            warnings.extend(self::warnings(&link, server).await);
        }
        let found = found(link.ground(), &servers);
        if is_shadow {
            shadow::mark(&link, &keys, &namespace).await?;
        }
        let partitions = record(&link, &keys, &namespace, partitions).await?;
        Ok(Self { shared: Arc::new(Shared::new(link, keys, namespace, partitions)), warnings, found })
    }

    /// What kind of Redis the log is on, in some words.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }
}

/// What the servers say of themselves on which the log is, or will be after its cluster was resharded.
async fn servers(link: &Link) -> Result<Vec<Server>, LogError> {
    let mut request = redis::pipe();
    request.cmd("INFO");
    let owners = match link.ground() {
        Ground::Server(_) | Ground::Sentinels(_) => {
            return Ok(vec![Server::read(&link.query::<String>(redis::cmd("INFO"), Effect::Read).await?)]);
        }
        Ground::Cluster(cluster) => cluster.owners(),
    };
    let mut servers = Vec::new();
    for (node, _) in owners {
        let answer = node.ask(&request, Effect::Read).await?.pop().unwrap_or_default();
        let answer = answer.extract_error().map_err(|error| fault::asking(error, Effect::Read))?;
        servers.push(Server::read(&reply::info(answer)?));
    }
    Ok(servers)
}

fn found(ground: &Ground, servers: &[Server]) -> String {
    let mut versions: Vec<_> = servers.iter().map(|server| server.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let versions = versions.join(", ");
    match ground {
        Ground::Server(_) => format!("a single Redis {versions}"),
        Ground::Sentinels(_) => format!("Redis {versions}, whose primary the sentinels name"),
        Ground::Cluster(_) => format!("a cluster of {} primaries, Redis {versions}", servers.len()),
    }
}

/// Writes layout and number of partitions where the log is new, and compares them where it is not.
pub(crate) async fn record(
    link: &Link,
    keys: &Keys,
    namespace: &str,
    configured: Option<u16>,
) -> Result<u16, ConnectError> {
    let mut recorded = read_record(link, keys).await?;
    // Written only where it is missing: looking at a log must be possible where nothing can be written.
    if recorded.contains(&Value::Nil) {
        let meta = keys.meta();
        let usual = if link.is_cluster() { PARTITIONS_OF_CLUSTER } else { PARTITIONS_DEFAULT };
        let partitions = configured.unwrap_or(usual).to_string();
        let mut requests = redis::pipe();
        requests.cmd("HSETNX").arg(&meta).arg("layout").arg(LAYOUT);
        requests.cmd("HSETNX").arg(&meta).arg("partitions").arg(partitions);
        // A repetition changes nothing.
        for answer in link.ask(&requests, Effect::Read).await? {
            answer.extract_error().map_err(|error| match error.code() {
                Some("NOPERM") => ConnectError::NotMade(namespace.to_owned()),
                _ => fault::asking(error, Effect::Read).into(),
            })?;
        }
        recorded = read_record(link, keys).await?;
    }
    let [layout, recorded] = recorded;
    let layout = reply::text(layout)?;
    if layout != LAYOUT {
        return Err(ConnectError::Layout { namespace: namespace.to_owned(), layout });
    }
    let recorded: u16 = reply::text(recorded)?.parse().map_err(|_other| fault::unexpected("HMGET"))?;
    match configured {
        Some(configured) if configured != recorded => {
            Err(ConnectError::Partitions { namespace: namespace.to_owned(), recorded, configured })
        }
        _ => Ok(recorded),
    }
}

/// Layout and number of partitions as they are recorded.
async fn read_record(link: &Link, keys: &Keys) -> Result<[Value; 2], LogError> {
    let mut request = redis::cmd("HMGET");
    request.arg(keys.meta()).arg("layout").arg("partitions");
    reply::parts(link.query(request, Effect::Read).await?)
}

/// What `INFO` says of a server, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Server {
    version: String,
    policy: String,
    append_only: bool,
}

impl Server {
    fn read(info: &str) -> Self {
        let mut server = Self::default();
        for (name, value) in info.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match name {
                "redis_version" => value.clone_into(&mut server.version),
                "maxmemory_policy" => value.clone_into(&mut server.policy),
                "aof_enabled" => server.append_only = value == "1",
                _ => {}
            }
        }
        server
    }

    fn check(&self) -> Result<(), ConnectError> {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(ConnectError::TooOld(self.version.clone()));
        }
        // Also where there is no limit yet: it can be set at any time, without anybody asking this program.
        if self.policy != "noeviction" {
            return Err(ConnectError::Evicts(self.policy.clone()));
        }
        Ok(())
    }
}

async fn warnings(link: &Link, server: &Server) -> Vec<String> {
    if server.append_only {
        return Vec::new();
    }
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("save");
    // Many services do not let anybody look at the configuration.
    let save: Option<Vec<String>> = link.query(command, Effect::Read).await.ok();
    let snapshots = save.is_none_or(|pair| pair.get(1).is_some_and(|save| !save.is_empty()));
    let loses = if snapshots { "what was written since its last snapshot" } else { "the whole log" };
    vec![format!(
        "this Redis keeps no append-only file: when it is restarted or dies, {loses} is lost; \
         set `appendonly yes` in redis.conf, or: redis-cli CONFIG SET appendonly yes"
    )]
}

#[cfg(test)]
mod tests;
