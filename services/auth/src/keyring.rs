//! Signs access tokens and checks them (RFC 9068): one algorithm for each key, a strict header, our own clock.
//!
//! A header that names another algorithm than its key has, or anything beside `alg`, `typ` and `kid`, is refused before any
//! key is looked at; so is a token of more than 4 KiB.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cartwright_contracts::CheckingKey;
use cartwright_http::{Role, TokenRefused};
use cartwright_runtime::{Secret, Time};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AuthError;
use crate::documents::SigningKey;

/// The most bytes of a token.
const LONGEST: usize = 4096;
/// How far the clocks of two machines may differ.
pub(crate) const LEEWAY: Duration = Duration::from_secs(10);
/// The media type of an access token (RFC 9068, 2.1).
const TYPE: &str = "at+jwt";
/// The DER before the seed of an Ed25519 private key (RFC 8410, 7).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The user, or the service.
    pub(crate) sub: String,
    /// The session.
    pub(crate) sid: String,
    pub(crate) jti: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    pub(crate) role: Role,
    /// The epoch of the user in which it was issued.
    pub(crate) epoch: u64,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
}

/// A public key, as RFC 8037 writes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    kid: String,
    x: String,
}

impl PublicKey {
    const fn ed25519(kid: String, x: String) -> Self {
        Self { kty: "OKP", crv: "Ed25519", alg: "EdDSA", purpose: "sig", kid, x }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader<'a> {
    #[serde(borrow)]
    alg: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    typ: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    kid: std::borrow::Cow<'a, str>,
}

struct Key {
    id: String,
    algorithm: Algorithm,
    name: &'static str,
    /// None where only other processes sign with it.
    signs: Option<EncodingKey>,
    checks: DecodingKey,
    public: Option<PublicKey>,
}

/// The keys of this shop, in memory.
pub(crate) struct Keyring {
    issuer: String,
    audience: String,
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, Arc<Key>>,
    newest: Option<Arc<Key>>,
}

impl Keyring {
    /// No keys yet.
    pub(crate) fn new(issuer: String, audience: String) -> Self {
        Self { issuer, audience, keys: RwLock::default() }
    }

    /// Signs with `secret` and accepts nothing else.
    pub(crate) fn share(&self, secret: &Secret<String>) {
        let secret = secret.reveal().as_bytes();
        self.hold(Key {
            id: "shared".to_owned(),
            algorithm: Algorithm::HS256,
            name: "HS256",
            signs: Some(EncodingKey::from_secret(secret)),
            checks: DecodingKey::from_secret(secret),
            public: None,
        });
    }

    /// Signs with `key` from now on and accepts it beside the older ones. A key that is held already changes nothing.
    ///
    /// # Errors
    /// When the stored bytes are no key.
    pub(crate) fn add(&self, key: &SigningKey) -> Result<(), AuthError> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).by_id.contains_key(&key.id);
        if known {
            return Ok(());
        }
        let broken = |error: jsonwebtoken::errors::Error| AuthError::Cryptography(error.to_string());
        let signs = EncodingKey::from_ed_der(&[&PKCS8[..], &key.seed.reveal().0[..]].concat());
        let jwk = Jwk::from_encoding_key(&signs, Algorithm::EdDSA).map_err(broken)?;
        let checks = DecodingKey::from_jwk(&jwk).map_err(broken)?;
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else {
            return Err(AuthError::Cryptography("an Ed25519 key has no public key".to_owned()));
        };
        let public = PublicKey::ed25519(key.id.clone(), pair.x);
        let (id, algorithm, name) = (key.id.clone(), Algorithm::EdDSA, "EdDSA");
        self.hold(Key { id, algorithm, name, signs: Some(signs), checks, public: Some(public) });
        Ok(())
    }

    /// Accepts exactly the tokens of `keys` from now on, and signs nothing.
    ///
    /// # Errors
    /// When one of them is no key; nothing changed then.
    pub(crate) fn trust(&self, keys: &[CheckingKey]) -> Result<(), AuthError> {
        let checked = keys.iter().map(|CheckingKey { id, x }| {
            let checks = DecodingKey::from_ed_components(x);
            let checks = checks.map_err(|error| AuthError::Cryptography(error.to_string()))?;
            let key = Key {
                id: id.clone(),
                algorithm: Algorithm::EdDSA,
                name: "EdDSA",
                signs: None,
                checks,
                public: Some(PublicKey::ed25519(id.clone(), x.clone())),
            };
            Ok((id.clone(), Arc::new(key)))
        });
        let by_id = checked.collect::<Result<HashMap<_, _>, AuthError>>()?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys { by_id, newest: None };
        Ok(())
    }

    /// The same keys as other processes check with them.
    pub(crate) fn checking_keys(&self) -> Vec<CheckingKey> {
        self.public_keys().into_iter().map(|key| CheckingKey { id: key.kid, x: key.x }).collect()
    }

    fn hold(&self, key: Key) {
        let key = Arc::new(key);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        drop(keys.by_id.insert(key.id.clone(), Arc::clone(&key)));
        keys.newest = Some(key);
    }

    /// The keys that anybody may check tokens with, by id.
    pub(crate) fn public_keys(&self) -> Vec<PublicKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut public: Vec<_> = keys.by_id.values().filter_map(|key| key.public.clone()).collect();
        public.sort_by(|left, right| left.kid.cmp(&right.kid));
        public
    }

    /// `iss` of every token.
    pub(crate) fn issuer(&self) -> String {
        self.issuer.clone()
    }

    /// `aud` of every token.
    pub(crate) fn audience(&self) -> String {
        self.audience.clone()
    }

    /// A token that says `claims`.
    ///
    /// # Errors
    /// When there is no key, or it cannot sign.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, AuthError> {
        let key = self.keys.read().unwrap_or_else(PoisonError::into_inner).newest.clone();
        let key = key.ok_or_else(|| AuthError::Cryptography("there is no signing key".to_owned()))?;
        let signs = key.signs.as_ref();
        let signs = signs.ok_or_else(|| AuthError::Cryptography("this process only checks tokens".to_owned()))?;
        let mut header = Header::new(key.algorithm);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, claims, signs).map_err(|error| AuthError::Cryptography(error.to_string()))
    }

    /// What `token` says, where it is one of ours and valid at `now`.
    ///
    /// # Errors
    /// Why it is not; the text may be shown.
    pub(crate) fn check(&self, token: &str, now: Time) -> Result<Claims, TokenRefused> {
        const FORGED: TokenRefused = TokenRefused("The token is not one of ours.");
        if token.len() > LONGEST {
            return Err(TokenRefused("The token is too long."));
        }
        let (message, signature) = token.rsplit_once('.').ok_or(FORGED)?;
        let (header, payload) = message.split_once('.').ok_or(FORGED)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| FORGED)?;
        let header: StrictHeader<'_> = serde_json::from_slice(&header).map_err(|_| FORGED)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.by_id.get(header.kid.as_ref()).cloned().ok_or(FORGED)?;
        drop(keys);
        if header.alg != key.name || !header.typ.eq_ignore_ascii_case(TYPE) {
            return Err(FORGED);
        }
        let genuine = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.checks, key.algorithm);
        if !genuine.unwrap_or(false) {
            return Err(FORGED);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| FORGED)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| FORGED)?;
        if claims.iss != self.issuer || claims.aud != self.audience {
            return Err(TokenRefused("The token is meant for somebody else."));
        }
        let soon = now.plus(LEEWAY).seconds();
        if claims.nbf > soon || claims.iat > soon {
            return Err(TokenRefused("The token is not valid yet."));
        }
        if has_ended(claims.exp, now) {
            return Err(EXPIRED);
        }
        Ok(claims)
    }
}

/// Why a token that was valid once is refused.
pub(crate) const EXPIRED: TokenRefused = TokenRefused("The token has expired.");

/// Whether a token with this `exp` has ended, the leeway included.
pub(crate) fn has_ended(exp: i64, now: Time) -> bool {
    now >= Time::from_millis(exp.saturating_mul(1000)).plus(LEEWAY)
}
