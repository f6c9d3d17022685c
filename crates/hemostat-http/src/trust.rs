//! Whom TLS trusts: the host's own store where there is one (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured, so a
//! company's own authority works), else Mozilla's roots, which are part of this program: an image made `FROM scratch`
//! has no store.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

/// The roots to trust.
pub(crate) fn roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        debug!(%error, "part of the host's trust store cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (usable, ignored) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    debug!(usable, ignored, bundled = usable == 0, "trust store");
    roots
}

/// TLS that trusts `roots`. The provider is named here, so nothing depends on a default of the process.
pub(crate) fn config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
