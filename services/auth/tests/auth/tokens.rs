//! Access tokens: what they say, and which are refused.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cartwright_auth::{AuthError, Settings};
use cartwright_http::Role;
use cartwright_runtime::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::desk::{Desk, PASSWORD, START, settings};

const SHARED: &str = "a secret of at least thirty-two bytes";

fn shared() -> Settings {
    Settings { jwt_secret: Some(Secret::new(SHARED.to_owned())), ..settings() }
}

fn part(token: &str, place: usize) -> Value {
    let part = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token that somebody who knows the shared secret signs, whatever it says.
fn signed(header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = EncodingKey::from_secret(SHARED.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn a_token_says_who_for_whom_and_until_when() {
    let desk = Desk::open().await;
    let answer = desk.register("ada@example.com").await;

    let (header, claims) = (part(&answer.token(), 0), part(&answer.token(), 1));
    let mut names: Vec<_> = header.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["alg", "kid", "typ"]);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["role"]),
        (&json!("cartwright"), &json!("cartwright"), &json!("customer"))
    );
    assert_eq!(claims["sub"], answer.body["userId"]);
    assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(START.seconds()), Some(START.seconds() + 900)));
    for name in ["sid", "jti", "client_id", "scope", "nbf"] {
        assert!(!claims[name].is_null(), "{name}");
    }
    assert!(!claims.to_string().contains("example.com"));
}

#[tokio::test]
async fn anybody_can_check_a_token_with_the_public_key_and_nobody_learns_the_private_one() {
    let desk = Desk::open().await;
    let token = desk.register("ada@example.com").await.token();

    let keys = desk.call("GET", "/.well-known/jwks.json", &[], None).await.expect(200).body;
    let key = &keys["keys"][0];
    assert_eq!(key["kid"], part(&token, 0)["kid"]);
    assert!(key.get("d").is_none());
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
    let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert!(jsonwebtoken::crypto::verify(signature, message.as_bytes(), &decoding, Algorithm::EdDSA).unwrap());
}

#[tokio::test]
async fn a_token_expires_by_our_clock_and_is_refused_although_it_was_accepted_before() {
    let desk = Desk::open().await;
    let token = desk.register("ada@example.com").await.token();

    desk.wait(909);
    assert!(desk.verify(&token).is_ok());
    desk.wait(1);
    assert_eq!(desk.verify(&token).unwrap_err().0, "The token has expired.");
    desk.me(&token).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn a_token_with_one_changed_character_is_refused() {
    let desk = Desk::open().await;
    let token = desk.register("ada@example.com").await.token();
    assert!(desk.verify(&token).is_ok());

    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        assert!(desk.verify(std::str::from_utf8(&changed).unwrap()).is_err(), "{place}");
    }
}

#[tokio::test]
async fn a_token_of_another_shop_is_refused() {
    let desk = Desk::open().await;
    let elsewhere = Desk::open().await.second(shared()).await.unwrap();
    let token = elsewhere.register("ada@example.com").await.token();

    assert!(desk.verify(&token).is_err());
    assert!(desk.verify("").is_err());
    assert!(desk.verify(&"a".repeat(5000)).is_err());
}

#[tokio::test]
async fn only_the_algorithm_of_the_key_and_only_three_header_fields_are_accepted() {
    let desk = Desk::with(shared()).await;
    let claims = part(&desk.register("ada@example.com").await.token(), 1);
    let good = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "shared" });
    assert!(desk.verify(&signed(&good, &claims)).is_ok());

    for (field, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS512")),
        ("alg", json!("EdDSA")),
        ("typ", json!("JWT")),
        ("kid", json!("other")),
        ("kid", json!(null)),
        ("crit", json!(["exp"])),
        ("jku", json!("https://evil.example/keys")),
        ("jwk", json!({})),
        ("x5u", json!("https://evil.example")),
    ] {
        let mut header = good.clone();
        header[field] = value.clone();
        assert!(desk.verify(&signed(&header, &claims)).is_err(), "{field}: {value}");
    }
    let unsigned =
        format!("{}.{}.", encoded(&json!({ "alg": "none", "typ": "at+jwt", "kid": "shared" })), encoded(&claims));
    assert!(desk.verify(&unsigned).is_err());
}

#[tokio::test]
async fn issuer_audience_and_times_must_fit() {
    let desk = Desk::with(shared()).await;
    let claims = part(&desk.register("ada@example.com").await.token(), 1);
    let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "shared" });
    let now = START.seconds();

    for (field, value) in [
        ("iss", json!("somebody")),
        ("aud", json!("somebody")),
        ("aud", json!(["cartwright", "somebody"])),
        ("exp", json!(now - 11)),
        ("nbf", json!(now + 11)),
        ("iat", json!(now + 11)),
        ("exp", json!(null)),
        ("role", json!("root")),
    ] {
        let mut changed = claims.clone();
        changed[field] = value.clone();
        assert!(desk.verify(&signed(&header, &changed)).is_err(), "{field}: {value}");
    }
    let mut early = claims.clone();
    early["nbf"] = json!(now + 10);
    early["exp"] = json!(now - 9);
    assert!(desk.verify(&signed(&header, &early)).is_ok());
}

#[tokio::test]
async fn with_a_shared_secret_tokens_are_hs256_and_no_public_key_is_offered() {
    let desk = Desk::with(shared()).await;
    let token = desk.register("ada@example.com").await.token();

    assert_eq!(part(&token, 0)["alg"], "HS256");
    assert_eq!(desk.call("GET", "/.well-known/jwks.json", &[], None).await.body, json!({ "keys": [] }));
    assert!(desk.verify(&token).is_ok());
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some("shared".to_owned());
    let other = EncodingKey::from_secret(b"another secret of thirty-two bytes");
    assert!(desk.verify(&jsonwebtoken::encode(&header, &part(&token, 1), &other).unwrap()).is_err());
}

#[tokio::test]
async fn a_short_secret_and_an_impossible_life_refuse_the_start_with_a_sentence() {
    let desk = Desk::open().await;
    let short = Settings { jwt_secret: Some(Secret::new("hunter2".to_owned())), ..settings() };
    let endless = Settings { jwt_expires_in: Duration::from_secs(u64::MAX), ..settings() };

    for (settings, named) in [(short, "JWT_SECRET"), (endless, "JWT_EXPIRES_IN")] {
        let Err(AuthError::Settings(sentence)) = desk.second(settings).await.map(drop) else { panic!("{named}") };
        assert!(sentence.contains(named) && !sentence.contains("hunter2"), "{sentence}");
    }
}

#[tokio::test]
async fn a_restart_keeps_the_key_and_two_processes_share_it() {
    let desk = Desk::open().await;
    let token = desk.register("ada@example.com").await.token();

    let other = desk.second(settings()).await.unwrap();
    let theirs = other.login("ada@example.com", PASSWORD).await.expect(200).token();

    assert!(other.verify(&token).is_ok());
    assert!(desk.verify(&theirs).is_ok());
}

#[tokio::test]
async fn the_life_of_a_token_is_a_setting_and_never_longer_than_its_session() {
    let week = Settings { jwt_expires_in: cartwright_auth::parse_lifetime("7d").unwrap(), ..settings() };
    let year = Settings { jwt_expires_in: cartwright_auth::parse_lifetime("365d").unwrap(), ..settings() };

    assert_eq!(Desk::with(week).await.register("ada@example.com").await.body["expiresIn"], 7 * 24 * 3600);
    assert_eq!(Desk::with(year).await.register("ada@example.com").await.body["expiresIn"], 30 * 24 * 3600);
}

#[tokio::test]
async fn a_service_token_names_the_service_and_ends() {
    let desk = Desk::open().await;
    let token = desk.auth.service_token("order", Duration::from_secs(60)).unwrap();

    let caller = desk.verify(&token).unwrap();
    assert_eq!((caller.id.as_str(), caller.role), ("order", Role::Service));
    desk.post_as(&token, "/logout", None).await.expect(204);
    desk.wait(70);
    assert!(desk.verify(&token).is_err());
}

#[tokio::test]
async fn validating_says_whose_a_token_is_or_why_it_is_refused() {
    let desk = Desk::open().await;
    let answer = desk.register("ada@example.com").await;
    let token = answer.token();

    let good = desk.post("/validate-token", json!({ "token": token })).await.expect(200).body;
    let end = START.plus(Duration::from_secs(900)).to_string();
    let wanted = json!({ "valid": true, "userId": answer.body["userId"], "email": "ada@example.com", "role": "customer", "expiresAt": end });
    assert_eq!(good, wanted);
    assert_eq!(desk.post_as(&token, "/validate-token", None).await.expect(200).body, wanted);

    desk.post_as(&token, "/logout", None).await.expect(204);
    for (body, reason) in [
        (Some(json!({ "token": token })), "The session of this token has ended."),
        (Some(json!({ "token": "x.y.z" })), "The token is not one of ours."),
        (None, "There is no token."),
    ] {
        let refused = desk.call("POST", "/validate-token", &[], body).await.expect(200).body;
        assert_eq!(refused, json!({ "valid": false, "reason": reason }));
    }
}

#[tokio::test]
async fn every_route_stands_in_the_openapi_document() {
    let desk = Desk::open().await;

    let document = desk.auth.service().routes.to_openapi();
    let mut paths: Vec<_> = document.paths.paths.keys().cloned().collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/.well-known/jwks.json",
            "/change-password",
            "/guest",
            "/login",
            "/logout",
            "/logout-all",
            "/me",
            "/refresh",
            "/register",
            "/validate-token",
        ]
    );
}
