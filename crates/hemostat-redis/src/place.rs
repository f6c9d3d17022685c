//! Where Redis is, as its URL says: one server, the nodes of a cluster, or sentinels that know the primary.

use redis::{ConnectionInfo, ErrorKind, RedisError};

/// Port of a sentinel where the URL names none.
const SENTINEL_PORT: u16 = 26_379;

/// What a URL leads to.
pub(crate) enum Place {
    /// A server, which may turn out to be a node of a cluster.
    Server(ConnectionInfo),
    /// Some nodes of a cluster; one that answers is enough to find the others.
    Cluster(Vec<ConnectionInfo>),
    /// Sentinels, and what they call the server and its replicas. User, password and database are the server's.
    Sentinels { sentinels: Vec<ConnectionInfo>, name: String },
}

impl Place {
    /// Reads a URL: `redis://host:port/db`, `unix:///path`, `redis+cluster://host:port,host:port` or
    /// `redis+sentinel://host:port,host:port/name/db`, each with `user:password@` where they are needed, and with
    /// `rediss` for TLS.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn read(url: &str) -> Result<Self, RedisError> {
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let (plain, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        match (plain, kind) {
            ("redis" | "rediss" | "valkey" | "valkeys", "cluster") => {
                let parts = Parts::split(rest);
                let path = if parts.path.is_empty() { "" } else { "/" };
                let database = parts.path.trim_start_matches('/');
                if !matches!(database, "" | "0") {
                    return Err(invalid("a cluster has the database 0 only"));
                }
                Ok(Self::Cluster(parts.servers(plain, path, None)?))
            }
            ("redis" | "rediss" | "valkey" | "valkeys", "sentinel") => {
                let parts = Parts::split(rest);
                let mut path = parts.path.trim_start_matches('/').splitn(2, '/');
                let name = path.next().unwrap_or_default().to_owned();
                if name.is_empty() {
                    return Err(invalid("the URL names sentinels and not the primary: host:port/<name>"));
                }
                let database = path.next().map(|database| format!("/{database}")).unwrap_or_default();
                let sentinels = parts.servers(plain, &database, Some(SENTINEL_PORT))?;
                Ok(Self::Sentinels { sentinels, name })
            }
            _ => Ok(Self::Server(url.parse()?)),
        }
    }

    /// The same, with every server made ready to be connected to.
    pub(crate) fn prepared<E>(
        self,
        prepare: impl Fn(ConnectionInfo) -> Result<ConnectionInfo, E>,
    ) -> Result<Self, E> {
        let all = |servers: Vec<_>| servers.into_iter().map(&prepare).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::Server(server) => Self::Server(prepare(server)?),
            Self::Cluster(nodes) => Self::Cluster(all(nodes)?),
            Self::Sentinels { sentinels, name } => Self::Sentinels { sentinels: all(sentinels)?, name },
        })
    }
}

/// The parts of a URL that names several servers.
struct Parts<'a> {
    /// User and password with the `@` behind them, or nothing.
    user: &'a str,
    servers: &'a str,
    path: &'a str,
    /// Query and fragment with what begins them, or nothing.
    options: &'a str,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str) -> Self {
        let (rest, options) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, servers) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Self { user, servers, path, options }
    }

    /// Each of the servers, with what the URL says of all of them.
    fn servers(
        &self,
        scheme: &str,
        path: &str,
        port: Option<u16>,
    ) -> Result<Vec<ConnectionInfo>, RedisError> {
        let Self { user, servers, options, .. } = self;
        let server = |server: &str| {
            // What follows the last bracket of an IPv6 address.
            let has_port = server.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
            let port = port.filter(|_| !has_port).map(|port| format!(":{port}")).unwrap_or_default();
            format!("{scheme}://{user}{server}{port}{path}{options}").parse()
        };
        servers.split(',').map(server).collect()
    }
}

fn invalid(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, what))
}

#[cfg(test)]
mod tests;
