//! How to get past the door of a Redis: user, password, certificates.

use std::fmt;

use redis::{Client, ClientTlsConfig, ConnectionInfo, TlsCertificates};

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
    /// The address with what its server wants to know; certificates travel with it.
    pub(crate) fn prepare(&self, info: ConnectionInfo) -> Result<ConnectionInfo, ConnectError> {
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
            return Ok(info);
        }
        // Whoever was first is right as well: there is one provider in the program.
        let _there_is_one = rustls::crypto::ring::default_provider().install_default();
        let identity = self.identity.clone();
        let certificates = TlsCertificates {
            client_tls: identity.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: self.authorities.clone(),
        };
        let client = Client::build_with_tls(info, certificates);
        let client = client.map_err(|error| ConnectError::Certificates(error.into()))?;
        Ok(client.get_connection_info().clone())
    }
}
