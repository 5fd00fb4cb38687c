//! Registering, logging in, passwords, admins.

use cartwright_runtime::{Clock, Secret};
use serde_json::json;

use crate::desk::{Desk, PASSWORD, settings};
use cartwright_auth::{Hashing, Settings};

#[tokio::test]
async fn whoever_registers_is_logged_in_and_can_log_in_again() {
    let desk = Desk::open().await;

    let body = json!({ "email": "Ada@Example.com", "password": PASSWORD, "name": " Ada " });
    let registered = desk.post("/register", body).await.expect(201);
    let user = &registered.body["user"];
    assert_eq!(
        (&user["email"], &user["name"], &user["role"]),
        (&json!("ada@example.com"), &json!("Ada"), &json!("customer"))
    );
    assert_eq!((&registered.body["tokenType"], &registered.body["expiresIn"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(registered.headers["cache-control"], "no-store");

    let again = desk.login("ada@example.com", PASSWORD).await.expect(200);
    assert_eq!(again.body["user"], registered.body["user"]);
    for answer in [registered, again] {
        assert_eq!(desk.me(&answer.token()).await.expect(200).body["id"], answer.body["userId"]);
    }
}

#[tokio::test]
async fn a_registration_is_announced_once_with_nothing_but_the_id() {
    let desk = Desk::open().await;

    let registered = desk.register("ada@example.com").await;

    assert_eq!(desk.events().await, [("auth.user-registered".to_owned(), registered.text("userId"))]);
}

#[tokio::test]
async fn of_many_who_register_one_address_at_once_one_wins() {
    let desk = Desk::open().await;

    let body = || json!({ "email": "ada@example.com", "password": PASSWORD });
    let answers = futures::future::join_all((0..20).map(|_| desk.post("/register", body()))).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for refused in answers.into_iter().filter(|answer| answer.status != 201) {
        refused.problem(409, "email_taken");
    }
    assert_eq!(desk.events().await.len(), 1);
}

#[tokio::test]
async fn a_repeated_registration_with_a_key_makes_one_account_and_no_token_is_stored() {
    let desk = Desk::open().await;
    let key = [("idempotency-key", "0123456789abcdef")];
    let body = |password: &str| Some(json!({ "email": "ada@example.com", "password": password }));

    let first = desk.call("POST", "/register", &key, body(PASSWORD)).await.expect(201);
    let again = desk.call("POST", "/register", &key, body(PASSWORD)).await.expect(201);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.body["userId"], first.body["userId"]);
    assert_eq!(desk.events().await.len(), 1);
    for answer in [&first, &again] {
        desk.me(&answer.token()).await.expect(200);
        desk.refresh(&answer.refresh_token()).await.expect(200);
    }

    desk.call("POST", "/register", &key, body("another-horse-battery")).await.problem(422, "idempotency_key_reused");
    let other = Some(json!({ "email": "bob@example.com", "password": PASSWORD }));
    desk.call("POST", "/register", &key, other).await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_weak_password_is_refused_with_a_pointer_and_nothing_is_stored() {
    let desk = Desk::open().await;

    for weak in ["short", "password123", "11111111", "lovelace1", &"long ".repeat(60)] {
        let body = json!({ "email": "lovelace@example.com", "password": weak });
        let refused = desk.post("/register", body).await.problem(400, "weak_password");
        assert_eq!(refused.body["errors"][0]["pointer"], "/password", "{weak}");
        assert!(!refused.body.to_string().contains(weak), "{weak}");
    }
    desk.register("lovelace@example.com").await;
}

#[tokio::test]
async fn what_is_no_address_no_text_or_missing_is_refused_with_a_pointer_and_no_secret_is_repeated() {
    let desk = Desk::open().await;

    for (body, pointer) in [
        (json!({ "email": "ada", "password": PASSWORD }), "/email"),
        (json!({ "email": "ada@example.com", "password": 72_616_263_545_i64 }), "/password"),
        (json!({ "email": "ada@example.com", "password": PASSWORD, "name": "A\u{7}da" }), "/name"),
        (json!({ "email": "ada@example.com" }), "/password"),
    ] {
        let refused = desk.post("/register", body).await.problem(400, "invalid_input");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
        assert!(!refused.body.to_string().contains("72616263545"));
    }
}

#[tokio::test]
async fn what_belongs_to_the_shop_is_not_taken_from_the_client() {
    let desk = Desk::open().await;

    let body = json!({
        "email": "mallory@example.com", "password": PASSWORD, "role": "admin", "id": "usr_1", "createdAt": "2001-01-01T00:00:00Z",
        "epoch": 9, "userId": "usr_1",
    });
    let registered = desk.post("/register", body).await.expect(201);
    assert_eq!(registered.body["user"]["role"], "customer");
    assert_ne!(registered.body["user"]["id"], "usr_1");
    assert_eq!(registered.body["user"]["createdAt"], desk.clock.now().to_string());

    let patch = Some(json!({ "role": "admin", "id": "usr_1", "email": "root@example.com", "createdAt": null }));
    let bearer = format!("Bearer {}", registered.token());
    let me = desk.call("PATCH", "/me", &[("authorization", &bearer)], patch).await.expect(200);
    for field in ["id", "email", "role", "createdAt"] {
        assert_eq!(me.body[field], registered.body["user"][field]);
    }
    assert_eq!(desk.verify(&registered.token()).unwrap().role, cartwright_http::Role::Customer);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_told_alike() {
    let desk = Desk::open().await;
    desk.register("ada@example.com").await;

    let wrong = desk.login("ada@example.com", "wrong-horse-battery").await.problem(401, "invalid_credentials");
    let unknown = desk.login("nobody@example.com", "wrong-horse-battery").await.problem(401, "invalid_credentials");

    assert_eq!(wrong.body, unknown.body);
    assert_eq!(wrong.headers, unknown.headers);
}

#[tokio::test]
async fn an_unknown_address_costs_as_much_work_as_a_wrong_password() {
    let hashing = Hashing { at_once: 1, ..Hashing::default() };
    let desk = Desk::with(Settings { hashing, ..settings() }).await;
    desk.register("ada@example.com").await;

    // The least of several, and within ten times: the machine is shared, and an answer without hashing is a thousand times faster.
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..5 {
        let watch = Clock::system().stopwatch();
        desk.login("ada@example.com", "wrong-horse").await.problem(401, "invalid_credentials");
        wrong.push(watch.elapsed());
        let watch = Clock::system().stopwatch();
        let email = format!("nobody{number}@example.com");
        desk.login(&email, "wrong-horse").await.problem(401, "invalid_credentials");
        unknown.push(watch.elapsed());
    }

    let (wrong, unknown) = (*wrong.iter().min().unwrap(), *unknown.iter().min().unwrap());
    assert!(wrong < unknown * 10 && unknown < wrong * 10, "{wrong:?} and {unknown:?}");
}

#[tokio::test]
async fn a_login_renews_a_hash_that_was_made_at_another_cost() {
    let desk = Desk::open().await;
    let id = desk.register("ada@example.com").await.text("userId");
    let dearer = Hashing { passes: 3, ..settings().hashing };
    let dearer = desk.second(Settings { hashing: dearer, ..settings() }).await.unwrap();
    let cost = || async {
        let store = cartwright_auth::open(&desk.database).await.unwrap();
        let user = store.get::<AnyUser>(&id).await.unwrap().unwrap();
        user.doc.password["phc"].as_str().unwrap().split('$').nth(3).unwrap().to_owned()
    };
    assert_eq!(cost().await, "m=8,t=1,p=1");

    dearer.login("ada@example.com", "wrong-horse").await.problem(401, "invalid_credentials");
    assert_eq!(cost().await, "m=8,t=1,p=1");
    let before = dearer.login("ada@example.com", PASSWORD).await.expect(200);
    assert_eq!(cost().await, "m=8,t=3,p=1");
    dearer.login("ada@example.com", PASSWORD).await.expect(200);
    dearer.me(&before.token()).await.expect(200);
}

/// A user as far as looking at the hash needs it.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct AnyUser {
    id: String,
    password: serde_json::Value,
}

impl cartwright_store::Document for AnyUser {
    const COLLECTION: &'static str = "users";

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[tokio::test]
async fn the_same_password_typed_in_another_unicode_form_logs_in() {
    let desk = Desk::open().await;
    let body = json!({ "email": "ada@example.com", "password": "Zu\u{308}rich-lakeside" });
    desk.post("/register", body).await.expect(201);

    desk.login("ada@example.com", "Z\u{fc}rich-lakeside").await.expect(200);
}

#[tokio::test]
async fn a_changed_password_ends_every_session_and_is_the_one_that_works() {
    let desk = Desk::open().await;
    let first = desk.register("ada@example.com").await;
    let second = desk.login("ada@example.com", PASSWORD).await;
    let body = |new: &str| Some(json!({ "currentPassword": PASSWORD, "newPassword": new }));

    let weak = desk.post_as(&first.token(), "/change-password", body("12345678")).await.problem(400, "weak_password");
    assert_eq!(weak.body["errors"][0]["pointer"], "/newPassword");
    let wrong = Some(json!({ "currentPassword": "wrong-horse", "newPassword": "better-horse-battery" }));
    let wrong = desk.post_as(&first.token(), "/change-password", wrong).await.problem(400, "invalid_credentials");
    assert_eq!(wrong.body["errors"][0]["pointer"], "/currentPassword");
    desk.me(&first.token()).await.expect(200);

    desk.post_as(&first.token(), "/change-password", body("better-horse-battery")).await.expect(204);
    for answer in [first, second] {
        desk.me(&answer.token()).await.problem(401, "invalid_token");
        desk.refresh(&answer.refresh_token()).await.problem(401, "invalid_refresh_token");
    }
    desk.login("ada@example.com", PASSWORD).await.problem(401, "invalid_credentials");
    let back = desk.login("ada@example.com", "better-horse-battery").await.expect(200);
    desk.me(&back.token()).await.expect(200);
}

#[tokio::test]
async fn an_admin_is_made_once_and_an_account_that_becomes_admin_starts_anew() {
    let desk = Desk::open().await;
    let customer = desk.register("ada@example.com").await;
    let (email, password) = ("ada@example.com".parse().unwrap(), Secret::new("admin-battery-staple".to_owned()));

    let id = desk.auth.create_admin(&email, &password).await.unwrap();
    assert_eq!(id.to_string(), customer.text("userId"));
    desk.me(&customer.token()).await.problem(401, "invalid_token");

    let admin = desk.login("ada@example.com", "admin-battery-staple").await.expect(200);
    assert_eq!(admin.body["user"]["role"], "admin");
    assert_eq!(desk.auth.create_admin(&email, &password).await.unwrap(), id);
    desk.me(&admin.token()).await.expect(200);

    let new = "boss@example.com".parse().unwrap();
    let made = desk.auth.create_admin(&new, &password).await.unwrap();
    assert_eq!(desk.auth.create_admin(&new, &password).await.unwrap(), made);
    let short = Secret::new("short".to_owned());
    assert!(desk.auth.create_admin(&new, &short).await.unwrap_err().to_string().contains("at least 8"));
}

#[tokio::test]
async fn peers_reach_customers_and_not_guests() {
    let desk = Desk::open().await;
    let ada = desk.register("ada@example.com").await.text("userId").parse().unwrap();
    let guest = desk.call("POST", "/guest", &[], None).await.expect(201).text("userId").parse().unwrap();

    assert_eq!(desk.auth.users().contact(ada).await.unwrap().unwrap().email.as_str(), "ada@example.com");
    assert_eq!(desk.auth.users().contact(guest).await.unwrap(), None);
}

#[tokio::test]
async fn when_too_many_passwords_are_being_checked_more_are_turned_away() {
    let mut settings = settings();
    settings.hashing = Hashing { memory_kib: 4096, passes: 2, at_once: 1, waiting: 2 };
    let desk = Desk::with(settings).await;

    let attempts = (0..20).map(async |number| {
        let email = format!("user{number}@example.com");
        desk.post("/register", json!({ "email": email, "password": PASSWORD })).await
    });
    let answers = futures::future::join_all(attempts).await;

    assert!(answers.iter().any(|answer| answer.status == 201));
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status != 201).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer.problem(503, "overloaded").headers["retry-after"], "1");
    }
}
