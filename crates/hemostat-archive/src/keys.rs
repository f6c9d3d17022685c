//! Keys: who may seal, and whom a reader believes.
//!
//! Ed25519 (RFC 8032). Files are PEM: the private key in PKCS #8 (RFC 8410), the public key as `openssl pkey -pubin` reads
//! it. A reader is given one public key; those that came after it are believed because each is signed by the one
//! before ([`Succession`]).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::chain::Digest;

#[cfg(test)]
mod tests;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, 10.1).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no PEM of that kind.
    #[error("not a PEM file with a {0}")]
    NotPem(&'static str),
    /// The PEM holds something else.
    #[error("not an Ed25519 key")]
    NotEd25519,
}

/// The key that seals.
pub struct PrivateKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

impl PrivateKey {
    /// A new key from the system's random numbers.
    ///
    /// # Panics
    /// When the system has none.
    #[must_use]
    pub fn generate() -> Self {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system has random numbers");
        Self::from_pkcs8(pkcs8.as_ref()).expect("a key that was made just now can be read")
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// When it is none with an Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_pkcs8(&from_pem(pem, "PRIVATE KEY").ok_or(KeyError::NotPem("private key"))?)
    }

    /// The PEM file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(&self.pkcs8, "PRIVATE KEY")
    }

    /// The key by which others know what it signed.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        Signature(bytes)
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_other| KeyError::NotEd25519)?;
        Ok(Self { pair, pkcs8: pkcs8.to_vec() })
    }
}

/// The key that tells whether something was sealed by its private half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// When it is none with an Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = from_pem(pem, "PUBLIC KEY").ok_or(KeyError::NotPem("public key"))?;
        let bytes = der.strip_prefix(&PUBLIC_PREFIX[..]).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(KeyError::NotEd25519)
    }

    /// The PEM file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(&[&PUBLIC_PREFIX[..], &self.0].concat(), "PUBLIC KEY")
    }

    /// The name of the key: the first 16 digits of the SHA-256 of its 32 bytes.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.0).to_string()[..16].to_owned())
    }

    /// Whether its private half signed `message`.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature.0).is_ok()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64.encode(key.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        decoded(&text).map(Self).ok_or(KeyError::NotEd25519)
    }
}

/// The name of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signature: 64 bytes, in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        BASE64.encode(signature.0)
    }
}

impl TryFrom<String> for Signature {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        decoded(&text).map(Self).ok_or(KeyError::NotEd25519)
    }
}

/// The statement that a key follows another; signed by the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// The key that seals from now on.
    pub successor: PublicKey,
    /// The key before it.
    pub predecessor: KeyId,
}

/// The keys that a reader believes.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(BTreeMap<KeyId, PublicKey>);

impl KeyRing {
    /// Believes `key`.
    #[must_use]
    pub fn of(key: PublicKey) -> Self {
        Self([(key.id(), key)].into())
    }

    /// Believes the successor too, when the statement is signed by a key that is believed; says whether it is.
    pub fn admit(&mut self, succession: &Succession, statement: &[u8], signature: &Signature) -> bool {
        let signed = self.has_signed(&succession.predecessor, statement, signature);
        if signed {
            self.0.insert(succession.successor.id(), succession.successor);
        }
        signed
    }

    /// Whether the key with that name is believed, and signed `message`.
    #[must_use]
    pub fn has_signed(&self, key: &KeyId, message: &[u8], signature: &Signature) -> bool {
        self.0.get(key).is_some_and(|key| key.has_signed(message, signature))
    }

    /// The names of the keys that are believed.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.keys()
    }

    /// Whether the key with that name is believed.
    #[must_use]
    pub fn believes(&self, key: &KeyId) -> bool {
        self.0.contains_key(key)
    }
}

/// Strict: the text is the one that these bytes are written as.
fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn to_pem(der: &[u8], label: &str) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn from_pem(pem: &str, label: &str) -> Option<Vec<u8>> {
    let begin = format!("-----BEGIN {label}-----");
    let (_before, rest) = pem.split_once(&begin)?;
    let (text, _after) = rest.split_once(&format!("-----END {label}-----"))?;
    BASE64.decode(text.split_whitespace().collect::<String>()).ok()
}
