//! Refresh tokens: opaque texts of which the store holds only a SHA-256 hash.
//!
//! A token's successor follows from the token and a nonce that never leaves the store. So whoever repeats a refresh gets
//! the same successor, while neither a stolen store nor a stolen old token gives it away.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cartwright_vocabulary::{Id, Kind};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A session.
pub(crate) type SessionId = Id<SessionKind>;

/// The kind of [`SessionId`].
#[derive(Debug)]
pub(crate) enum SessionKind {}

impl Kind for SessionKind {
    const PREFIX: &'static str = "ses";
}

/// The bytes of a token: session, secret and tag.
const LENGTH: usize = 16 + 32 + 16;

/// A refresh token of one session. The tag tells a token that was once ours from a guess.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    session: SessionId,
    secret: [u8; 32],
    tag: [u8; 16],
}

impl RefreshToken {
    /// The token of `session` with this secret, sealed with the session's key.
    pub(crate) fn new(session: SessionId, secret: [u8; 32], key: &[u8; 32]) -> Self {
        let mut tag = [0; 16];
        for (byte, sealed) in tag.iter_mut().zip(digest("seal", key, &secret)) {
            *byte = sealed;
        }
        Self { session, secret, tag }
    }

    /// Reads a token; `None` where the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (secret, tag) = rest.split_first_chunk::<32>()?;
        let session = SessionId::new(Uuid::from_bytes(*session));
        Some(Self { session, secret: *secret, tag: tag.try_into().ok()? })
    }

    /// The session that it claims to belong to.
    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// Whether it was made with the session's key, now or earlier.
    pub(crate) fn is_sealed_with(&self, key: &[u8; 32]) -> bool {
        *self == Self::new(self.session, self.secret, key)
    }

    /// What the store holds of it.
    pub(crate) fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret))
    }

    /// The token that comes after this one.
    pub(crate) fn successor(&self, nonce: &[u8; 32], key: &[u8; 32]) -> Self {
        Self::new(self.session, digest("successor", &self.secret, nonce), key)
    }

    /// The text for the client.
    pub(crate) fn reveal(&self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(self.session.uuid().as_bytes());
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(&self.tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Printed as a placeholder.
impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[refresh token]")
    }
}

/// SHA-256 for one purpose over two values of fixed length, so that no two inputs run together.
fn digest(purpose: &str, first: &[u8; 32], second: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update(first).chain_update(second).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not_sealed() {
        let session = SessionId::new(Uuid::from_u128(7));
        let token = RefreshToken::new(session, [1; 32], &[2; 32]);
        let text = token.reveal();
        assert_eq!(RefreshToken::parse(&text), Some(token.clone()));
        assert!(token.is_sealed_with(&[2; 32]) && !token.is_sealed_with(&[3; 32]));
        assert_eq!(RefreshToken::parse(&text[1..]), None);
        assert_eq!(RefreshToken::parse(""), None);
    }
}
