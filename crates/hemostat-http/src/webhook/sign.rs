//! Signatures as Standard Webhooks writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::client::SetupError;

/// A signing key.
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Reads `whsec_` and base64, or any other text as it is.
    pub(super) fn read(secret: &str) -> Result<Self, SetupError> {
        let key = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_malformed| SetupError::Key)?,
            None => secret.as_bytes().to_vec(),
        };
        if key.is_empty() { Err(SetupError::Key) } else { Ok(Self(key)) }
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_signed_as_there() {
        let key = Key::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_text_or_base64_and_never_empty() {
        assert_eq!(Key::read("plain").expect("a key").0, b"plain");
        assert_eq!(Key::read("whsec_cGxhaW4=").expect("a key").0, b"plain");
        for unusable in ["", "whsec_", "whsec_not base64"] {
            assert!(matches!(Key::read(unusable), Err(SetupError::Key)), "{unusable:?}");
        }
    }
}
