//! What proves that nothing was changed: a digest per entry, a chain over a partition, a tree over a segment.
//!
//! - The digest of a body is `SHA-256(0x02 ‖ salt ‖ body)`: without the salt, which goes with the body, nobody can find
//!   out by guessing what a body that was taken out had said.
//! - The leaf of an entry is `SHA-256(0x00 ‖ its fields ‖ header ‖ body digest)`; see [`crate::Record::leaf`].
//! - The chain is `c(n) = SHA-256(0x03 ‖ c(n-1) ‖ leaf(n))`, from [`Digest::ZERO`] at the beginning of a partition.
//! - The tree is that of RFC 6962, section 2.1: `SHA-256(0x01 ‖ left ‖ right)`, the left side the greatest power of two.
//!
//! The first byte keeps the four apart, so that none can be passed off as another.

use std::fmt;
use std::str::FromStr;

use ring::digest::{self, Context, SHA256};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// What a digest is of.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Domain {
    Leaf = 0x00,
    Node = 0x01,
    Body = 0x02,
    Link = 0x03,
}

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// What the chain begins with.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of `parts`, one after the other, under a domain.
    pub(crate) fn within(domain: Domain, parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[domain as u8]);
        for part in parts {
            context.update(part);
        }
        Self::ended(context)
    }

    /// The same for two digests, in one piece: most of what is digested is as short.
    fn of_pair(domain: Domain, [first, second]: [Self; 2]) -> Self {
        let mut bytes = [domain as u8; 65];
        bytes[1..33].copy_from_slice(&first.0);
        bytes[33..].copy_from_slice(&second.0);
        Self::of(&bytes)
    }

    /// The plain SHA-256 of `bytes`, as `sha256sum` gives it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
        Self(digest)
    }

    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn ended(context: Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 (64 lower-case hexadecimal digits)")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refuse = || DigestError(text.to_owned());
        let is_lower_hex =
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_lower_hex {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_digits| refuse())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The chain of a partition up to some entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain(Digest);

impl Chain {
    /// A chain that goes on from `before`.
    #[must_use]
    pub const fn from(before: Digest) -> Self {
        Self(before)
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.0 = Digest::of_pair(Domain::Link, [self.0, leaf]);
    }

    /// The chain as it stands.
    #[must_use]
    pub const fn value(&self) -> Digest {
        self.0
    }
}

/// The Merkle tree over a run of leaves, built as they come. Holds one digest per level.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    count: u64,
    /// Roots of the full subtrees, the greatest first; their sizes are the bits of `count`.
    subtrees: Vec<Digest>,
}

impl Tree {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut root = leaf;
        for _full in 0..self.count.trailing_ones() {
            let left = self.subtrees.pop().expect("there is a subtree for every bit of the count");
            root = node(left, root);
        }
        self.subtrees.push(root);
        self.count += 1;
    }

    /// The root; that of no leaves is the SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let right_to_left = self.subtrees.iter().rev().copied();
        right_to_left.reduce(|right, left| node(left, right)).unwrap_or_else(|| Digest::of(b""))
    }
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest::of_pair(Domain::Node, [left, right])
}
