//! Accounts and sessions as a client meets them at the shop's one address.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use axum::http::Method;
use cartwright_runtime::Clock;
use cartwright_testkit::{Reply, TestShop};
use serde_json::{Value, json};

const PASSWORD: &str = "a fine password 7";

async fn ask(shop: &TestShop, path: &str, body: Value) -> Reply {
    shop.send(Method::POST, path, &[], Some(body.to_string())).await
}

async fn register(shop: &TestShop, email: &str) -> Reply {
    ask(shop, "/auth/register", json!({"email": email, "password": PASSWORD, "name": "Ada"})).await
}

async fn log_in(shop: &TestShop, email: &str, password: &str) -> Reply {
    ask(shop, "/auth/login", json!({"email": email, "password": password})).await
}

fn token(session: &Value) -> &str {
    session["token"].as_str().unwrap()
}

#[tokio::test]
async fn an_account_is_made_once_and_opens_with_its_password_alone() {
    let shop = TestShop::new().await;
    let made = register(&shop, "Ada@Example.com").await.expect(201);
    assert_eq!((&made["user"]["role"], &made["user"]["name"]), (&json!("customer"), &json!("Ada")));
    assert_eq!(made["tokenType"], "Bearer");
    assert!(made["expiresIn"].as_u64().unwrap() > 0 && made["refreshToken"].is_string());
    assert!(made["user"]["createdAt"].is_string() && !made.to_string().contains(PASSWORD));

    register(&shop, "ada@EXAMPLE.com").await.refused(409, "email_taken");
    let weak = json!({"email": "bob@example.com", "password": "short"});
    let refused = ask(&shop, "/auth/register", weak).await.refused(400, "weak_password");
    assert_eq!(refused["errors"][0]["pointer"], "/password");

    let opened = log_in(&shop, "ada@example.com", PASSWORD).await.expect(200);
    assert_eq!(opened["user"], made["user"]);
    let mut told = Vec::new();
    for (email, password) in [("ada@example.com", "another password 8"), ("nobody@example.com", PASSWORD)] {
        let mut refused = log_in(&shop, email, password).await.refused(401, "invalid_credentials");
        refused["instance"] = Value::Null;
        told.push(refused);
    }
    assert_eq!(told[0], told[1], "nobody learns which addresses have an account");
}

#[tokio::test]
async fn a_profile_is_read_and_changed_by_its_owner() {
    let shop = TestShop::new().await;
    let session = register(&shop, "ada@example.com").await.expect(201);
    let me = shop.get("/auth/me", token(&session)).await.expect(200);
    for field in ["id", "email", "name", "role", "createdAt"] {
        assert_eq!(me[field], session["user"][field], "{field}");
    }

    let address =
        json!({"name": "Ada", "line1": "1 Main St", "city": "Berlin", "postalCode": "10115", "country": "DE"});
    let patch = json!({"name": "Ada L.", "addresses": [address]});
    let changed = shop.call(Method::PATCH, "/auth/me", token(&session), Some(patch)).await.expect(200);

    assert_eq!((&changed["name"], &changed["addresses"][0]["city"]), (&json!("Ada L."), &json!("Berlin")));
    assert_eq!(shop.get("/auth/me", token(&session)).await.expect(200), changed);
}

/// Waits until the session's token is refused, whichever process is asked: at once where there is one, and within five
/// seconds where there are more (R-A 4).
async fn is_over(shop: &TestShop, session: &Value) {
    let clock = Clock::system();
    for _ in 0..50 {
        let mut refusals = 0;
        while refusals < 20 && shop.get("/auth/me", token(session)).await.status == 401 {
            refusals += 1;
        }
        if refusals == 20 {
            return drop(shop.get("/auth/me", token(session)).await.refused(401, "invalid_token"));
        }
        shop.advance(Duration::from_millis(100));
        clock.pause(Duration::from_millis(20)).await;
    }
    panic!("five seconds later the token still lets its holder in");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    let shop = TestShop::new().await;
    let first = register(&shop, "ada@example.com").await.expect(201);
    let refresh =
        async |session: &Value| ask(&shop, "/auth/refresh", json!({"refreshToken": session["refreshToken"]})).await;

    let second = refresh(&first).await.expect(200);
    assert_ne!(second["refreshToken"], first["refreshToken"]);
    shop.get("/auth/me", token(&second)).await.expect(200);
    // Long after a client could have sent it twice by mistake.
    shop.advance(Duration::from_secs(3600));

    refresh(&first).await.refused(401, "invalid_refresh_token");
    refresh(&second).await.refused(401, "invalid_refresh_token");
    is_over(&shop, &second).await;
}

#[tokio::test]
async fn logging_out_ends_one_session_and_everywhere_ends_all() {
    let shop = TestShop::new().await;
    let phone = register(&shop, "ada@example.com").await.expect(201);
    let laptop = log_in(&shop, "ada@example.com", PASSWORD).await.expect(200);
    let tablet = log_in(&shop, "ada@example.com", PASSWORD).await.expect(200);

    shop.call(Method::POST, "/auth/logout", token(&phone), None).await.expect(204);
    is_over(&shop, &phone).await;
    let refresh = json!({"refreshToken": phone["refreshToken"]});
    ask(&shop, "/auth/refresh", refresh).await.refused(401, "invalid_refresh_token");
    shop.get("/auth/me", token(&laptop)).await.expect(200);

    shop.call(Method::POST, "/auth/logout-all", token(&laptop), None).await.expect(204);
    for session in [&laptop, &tablet] {
        is_over(&shop, session).await;
    }
    log_in(&shop, "ada@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_changed_password_ends_all_sessions_and_replaces_the_old_one() {
    let shop = TestShop::new().await;
    let session = register(&shop, "ada@example.com").await.expect(201);
    let change = |current: &str| json!({"currentPassword": current, "newPassword": "a finer password 8"});
    let wrong = shop.post("/auth/change-password", token(&session), change("not the password")).await;
    wrong.refused(400, "invalid_credentials");

    shop.post("/auth/change-password", token(&session), change(PASSWORD)).await.expect(204);

    is_over(&shop, &session).await;
    log_in(&shop, "ada@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    log_in(&shop, "ada@example.com", "a finer password 8").await.expect(200);
}

#[tokio::test]
async fn anybody_can_ask_what_a_token_is_worth_and_check_it_with_the_public_keys() {
    let shop = TestShop::new().await;
    let session = register(&shop, "ada@example.com").await.expect(201);
    let guest = ask(&shop, "/auth/guest", json!({})).await.expect(201);

    let worth = shop.call(Method::POST, "/auth/validate-token", token(&session), None).await.expect(200);
    assert_eq!(ask(&shop, "/auth/validate-token", json!({"token": token(&session)})).await.expect(200), worth);
    assert_eq!((&worth["valid"], &worth["userId"]), (&json!(true), &session["user"]["id"]));
    assert_eq!((&worth["email"], &worth["role"]), (&json!("ada@example.com"), &json!("customer")));
    assert!(worth["expiresAt"].is_string());
    let guests = ask(&shop, "/auth/validate-token", json!({"token": token(&guest)})).await.expect(200);
    assert_eq!((&guests["role"], &guests["userId"]), (&json!("guest"), &guest["userId"]));
    shop.call(Method::POST, "/auth/logout", token(&session), None).await.expect(204);
    is_over(&shop, &session).await;
    for gone in [token(&session), "nonsense", ""] {
        let worth = ask(&shop, "/auth/validate-token", json!({"token": gone})).await.expect(200);
        assert_eq!(worth["valid"], false);
        assert!(worth["reason"].is_string() && worth.get("userId").is_none(), "{worth}");
    }

    for path in ["/.well-known/jwks.json", "/auth/.well-known/jwks.json"] {
        let keys = shop.send(Method::GET, path, &[], None).await.expect(200);
        let key = &keys["keys"][0];
        assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")), "{keys}");
        assert!(key["x"].is_string() && key["kid"].is_string() && key.get("d").is_none(), "{keys}");
    }
}
