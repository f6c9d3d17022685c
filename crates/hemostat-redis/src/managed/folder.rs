//! The folder of a private server: who may enter, who keeps it, what stands in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::ConnectionAddr;

use crate::server::{quoted, socket_url};

/// The server's own folder within the data folder.
const FOLDER: &str = "redis";
const SOCKET: &str = "redis.sock";
/// Locked by the process that keeps the server; holds its process id.
const LOCK: &str = "lock";
/// Holds the URL while the server runs.
const URL: &str = "url";
/// Longest path of a socket on Linux: 108 bytes with the zero at the end.
const SOCKET_PATH_MAX: usize = 107;
/// Longest wait for a server on this machine to take a connection.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// Bytes of the password of a server on a port.
const PASSWORD_BYTES: u64 = 24;

/// A folder that only its owner can enter.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// The right to keep a server in a folder; ends with the process at the latest.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Lines of the configuration.
type Config = Vec<(&'static str, String)>;

impl Folder {
    /// Makes the folder where it is missing and closes it to others.
    pub(super) fn prepare(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        Ok(Self(path.canonicalize()?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes the lock; `None` while another process has it.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let mut file = private().read(true).truncate(false).open(self.0.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.write_all(std::process::id().to_string().as_bytes())?;
                Ok(Some(Lock(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The process that has the lock, as it wrote itself down.
    pub(super) fn owner(&self) -> Option<String> {
        fs::read_to_string(self.0.join(LOCK)).ok().filter(|owner| !owner.is_empty())
    }

    /// The configuration of a server in this folder, and its URL. It has a port only where the path of a socket
    /// would be too long, and a password then: everybody on the machine can reach a port.
    pub(super) fn configure(&self) -> io::Result<(String, Config)> {
        let mut config = vec![
            ("dir", quoted(&self.0)),
            ("daemonize", "no".to_owned()),
            ("appendonly", "yes".to_owned()),
            ("appendfsync", "everysec".to_owned()),
            // The append-only file has everything; snapshots beside it would only cost.
            ("save", "\"\"".to_owned()),
            ("maxmemory-policy", "noeviction".to_owned()),
        ];
        let socket = self.0.join(SOCKET);
        if socket.as_os_str().len() <= SOCKET_PATH_MAX {
            let more = [
                ("port", "0".to_owned()),
                ("unixsocket", quoted(&socket)),
                ("unixsocketperm", "700".to_owned()),
            ];
            config.extend(more);
            return Ok((socket_url(&socket), config));
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let password = password()?;
        let url = format!("redis://:{password}@{}:{port}/", Ipv4Addr::LOCALHOST);
        let bind = Ipv4Addr::LOCALHOST.to_string();
        config.extend([("bind", bind), ("port", port.to_string()), ("requirepass", password)]);
        Ok((url, config))
    }

    /// Writes down how to reach the server, for other programs of the same owner.
    pub(super) fn publish(&self, url: &str) -> io::Result<()> {
        // Beside and then in place: a reader sees the whole URL or none.
        let beside = self.0.join("url.new");
        private().truncate(true).open(&beside)?.write_all(url.as_bytes())?;
        fs::rename(beside, self.0.join(URL))
    }

    pub(super) fn unpublish(&self) {
        let _missing = fs::remove_file(self.0.join(URL));
    }
}

/// The URL of the server in `data_dir`, where one takes connections.
pub(super) fn published(data_dir: &Path) -> Option<String> {
    let url = fs::read_to_string(data_dir.join(FOLDER).join(URL)).ok()?;
    let takes_connections = match redis::Client::open(url.as_str()).ok()?.get_connection_info().addr() {
        ConnectionAddr::Unix(path) => UnixStream::connect(path).is_ok(),
        ConnectionAddr::Tcp(host, port) => {
            let address = SocketAddr::new(host.parse().ok()?, *port);
            TcpStream::connect_timeout(&address, CONNECT_MAX).is_ok()
        }
        _ => false,
    };
    takes_connections.then_some(url)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn password() -> io::Result<String> {
    let mut random = Vec::new();
    File::open("/dev/urandom")?.take(PASSWORD_BYTES).read_to_end(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
