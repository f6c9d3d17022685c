//! How to get past the door of a Redis: user, password, certificates.

use std::fmt;

use redis::{Client, ClientTlsConfig, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};

use crate::connect::ConnectError;

/// What a server wants to know of its clients, and they of it, besides the address. What stands in the URL comes first.
#[derive(Clone, Default)]
pub struct Access {
    /// The user; Redis's own default when absent.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// Certificates of those who may vouch for the server, in PEM; the host's store when absent.
    pub authorities: Option<Vec<u8>>,
    /// The certificate and the key by which the server knows its client, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("user", &self.user)
            .field("authorities", &self.authorities.is_some())
            .field("identity", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

impl Access {
    /// A client of the server at `url`.
    pub(crate) fn client(&self, url: &str) -> Result<Client, ConnectError> {
        let info = url.into_connection_info().map_err(|error| ConnectError::Url(error.into()))?;
        self.client_of(info)
    }

    /// A client of the server that `info` leads to.
    pub(crate) fn client_of(&self, info: ConnectionInfo) -> Result<Client, ConnectError> {
        let mut login = info.redis_settings().clone();
        if let Some(user) = self.user.as_ref().filter(|_| login.username().is_none()) {
            login = login.set_username(user);
        }
        if let Some(password) = self.password.as_ref().filter(|_| login.password().is_none()) {
            login = login.set_password(password);
        }
        let info = info.set_redis_settings(login);
        if !matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
            if self.authorities.is_some() || self.identity.is_some() {
                return Err(ConnectError::NotEncrypted);
            }
            return Client::open(info).map_err(|error| ConnectError::Url(error.into()));
        }
        // Whoever was first is right as well: there is one provider in the program.
        let _there_is_one = rustls::crypto::ring::default_provider().install_default();
        let identity = self.identity.clone();
        let certificates = TlsCertificates {
            client_tls: identity.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: self.authorities.clone(),
        };
        Client::build_with_tls(info, certificates).map_err(|error| ConnectError::Certificates(error.into()))
    }
}
