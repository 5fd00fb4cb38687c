//! Guests, refreshing, logging out, cookies.

use cartwright_runtime::Tasks;
use serde_json::json;

use crate::desk::{Answer, Desk, PASSWORD, settings};

#[tokio::test]
async fn a_guest_gets_a_session_without_saying_anything() {
    let desk = Desk::open().await;

    let guest = desk.call("POST", "/guest", &[], None).await.expect(201);
    let other = desk.post("/guest", json!({})).await.expect(201);

    assert_ne!(guest.text("userId"), other.text("userId"));
    let me = desk.me(&guest.token()).await.expect(200);
    assert_eq!((&me.body["role"], &me.body["email"]), (&json!("guest"), &json!(null)));
    desk.refresh(&guest.refresh_token()).await.expect(200);
    let change = Some(json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD }));
    desk.post_as(&guest.token(), "/change-password", change).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_repeated_request_for_a_guest_with_a_key_gives_the_same_guest() {
    let desk = Desk::open().await;
    let key = [("idempotency-key", "0123456789abcdef")];

    let first = desk.call("POST", "/guest", &key, None).await.expect(201);
    let again = desk.call("POST", "/guest", &key, None).await.expect(201);

    assert_eq!(first.text("userId"), again.text("userId"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let desk = Desk::open().await;
    let first = desk.register("ada@example.com").await;
    let elsewhere = desk.login("ada@example.com", PASSWORD).await;

    let second = desk.refresh(&first.refresh_token()).await.expect(200);
    assert_eq!(second.body["userId"], first.body["userId"]);
    assert_ne!(second.refresh_token(), first.refresh_token());

    desk.wait(11);
    desk.refresh(&first.refresh_token()).await.problem(401, "invalid_refresh_token");
    desk.refresh(&second.refresh_token()).await.problem(401, "invalid_refresh_token");
    for token in [first.token(), second.token()] {
        desk.me(&token).await.problem(401, "invalid_token");
    }
    desk.me(&elsewhere.token()).await.expect(200);
    desk.refresh(&elsewhere.refresh_token()).await.expect(200);
}

#[tokio::test]
async fn whoever_lost_the_answer_to_a_refresh_gets_the_same_successor_for_ten_seconds() {
    let desk = Desk::open().await;
    let first = desk.register("ada@example.com").await.refresh_token();

    let answers = futures::future::join_all((0..5).map(|_| desk.refresh(&first))).await;
    let successors: Vec<_> = answers.into_iter().map(|answer| answer.expect(200).refresh_token()).collect();
    assert!(successors.iter().all(|token| *token == successors[0]));

    desk.wait(10);
    assert_eq!(desk.refresh(&first).await.expect(200).refresh_token(), successors[0]);
    desk.refresh(&successors[0]).await.expect(200);
}

#[tokio::test]
async fn another_client_with_the_same_refresh_token_ends_the_session() {
    let desk = Desk::open().await;
    let first = desk.register("ada@example.com").await.refresh_token();
    desk.refresh(&first).await.expect(200);

    let thief = [("user-agent", "thief/1.0")];
    let body = Some(json!({ "refreshToken": first }));
    desk.call("POST", "/refresh", &thief, body).await.problem(401, "invalid_refresh_token");

    desk.refresh(&first).await.problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_session_ends_after_seven_idle_days_and_after_thirty_days_in_any_case() {
    const DAY: u64 = 24 * 3600;
    let desk = Desk::open().await;

    let idle = desk.register("ada@example.com").await;
    desk.wait(7 * DAY);
    desk.refresh(&idle.refresh_token()).await.problem(401, "invalid_refresh_token");

    let mut token = desk.login("ada@example.com", PASSWORD).await.refresh_token();
    for _ in 0..5 {
        desk.wait(6 * DAY - 1);
        token = desk.refresh(&token).await.expect(200).refresh_token();
    }
    desk.wait(5);
    desk.refresh(&token).await.problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_guess_and_a_text_that_is_no_token_are_refused_and_end_nothing() {
    let desk = Desk::open().await;
    let real = desk.register("ada@example.com").await.refresh_token();

    let mut guess = real.clone();
    guess.replace_range(30..40, "AAAAAAAAAA");
    for wrong in [guess.as_str(), "", "x", &"A".repeat(86), &"A".repeat(100_000)] {
        desk.refresh(wrong).await.problem(401, "invalid_refresh_token");
    }
    desk.refresh(&real).await.expect(200);
}

#[tokio::test]
async fn logging_out_ends_this_session_at_once_and_no_other() {
    let desk = Desk::open().await;
    let here = desk.register("ada@example.com").await;
    let there = desk.login("ada@example.com", PASSWORD).await;
    desk.me(&here.token()).await.expect(200);

    desk.post_as(&here.token(), "/logout", None).await.expect(204);

    desk.me(&here.token()).await.problem(401, "invalid_token");
    desk.refresh(&here.refresh_token()).await.problem(401, "invalid_refresh_token");
    desk.me(&there.token()).await.expect(200);
}

#[tokio::test]
async fn logging_out_everywhere_ends_all_sessions_and_leaves_later_ones() {
    let desk = Desk::open().await;
    let before = [desk.register("ada@example.com").await, desk.login("ada@example.com", PASSWORD).await];
    let bob = desk.register("bob@example.com").await;

    desk.post_as(&before[0].token(), "/logout-all", None).await.expect(204);
    let after = desk.login("ada@example.com", PASSWORD).await.expect(200);

    for ended in before {
        desk.me(&ended.token()).await.problem(401, "invalid_token");
        desk.refresh(&ended.refresh_token()).await.problem(401, "invalid_refresh_token");
    }
    desk.me(&after.token()).await.expect(200);
    desk.me(&bob.token()).await.expect(200);
}

#[tokio::test]
async fn a_logout_reaches_another_process_within_five_seconds() {
    let desk = Desk::open().await;
    let other = desk.second(settings()).await.unwrap();
    let here = desk.register("ada@example.com").await;
    let everywhere = desk.register("bob@example.com").await;
    let tokens = [here.token(), everywhere.token()];
    assert!(tokens.iter().all(|token| other.verify(token).is_ok()));
    let tasks = Tasks::new();
    other.auth.service().jobs.iter().for_each(|job| job.start(&tasks));

    desk.post_as(&here.token(), "/logout", None).await.expect(204);
    desk.post_as(&everywhere.token(), "/logout-all", None).await.expect(204);
    for _ in 0..5 {
        desk.wait(1);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    assert!(tokens.iter().all(|token| other.verify(token).is_err()));
    assert!(tasks.drain(&desk.clock, std::time::Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_logout_outlives_a_crash() {
    let desk = Desk::open().await;
    let ada = desk.register("ada@example.com").await;
    let bob = desk.register("bob@example.com").await;
    desk.post_as(&ada.token(), "/logout", None).await.expect(204);

    let restarted = desk.second(settings()).await.unwrap();

    assert!(restarted.verify(&ada.token()).is_err());
    assert!(restarted.verify(&bob.token()).is_ok());
}

async fn with_cookie(desk: &Desk, cookie: &str, origin: &[(&str, &str)]) -> Answer {
    let pair = cookie.split(';').next().unwrap();
    let headers = [&[("x-session", "cookie"), ("cookie", pair)], origin].concat();
    desk.call("POST", "/refresh", &headers, None).await
}

#[tokio::test]
async fn a_browser_keeps_the_refresh_token_in_a_cookie_that_scripts_cannot_read() {
    let desk = Desk::open().await;
    let login = json!({ "email": "ada@example.com", "password": PASSWORD });

    let opened = desk.call("POST", "/register", &[("x-session", "cookie")], Some(login)).await.expect(201);
    let cookie = opened.cookie();
    assert!(opened.body.get("refreshToken").is_none());
    assert!(cookie.starts_with("__Host-cartwright-refresh="), "{cookie}");
    for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }

    let next = with_cookie(&desk, &cookie, &[("origin", "https://shop.example")]).await.expect(200);
    assert!(next.body.get("refreshToken").is_none());
    let last = with_cookie(&desk, &next.cookie(), &[("sec-fetch-site", "same-origin")]).await.expect(200);

    let pair = last.cookie().split(';').next().unwrap().to_owned();
    let plain = [("cookie", pair.as_str()), ("origin", "https://shop.example")];
    let last = desk.call("POST", "/refresh", &plain, None).await.expect(200);
    assert!(last.body.get("refreshToken").is_none());

    let pair = last.cookie().split(';').next().unwrap().to_owned();
    let bearer = format!("Bearer {}", last.token());
    let out = desk.call("POST", "/logout", &[("authorization", &bearer), ("cookie", &pair)], None).await.expect(204);
    assert!(out.cookie().contains("Max-Age=0"), "{}", out.cookie());
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_refresh_by_cookie() {
    let desk = Desk::open().await;
    let cookie = desk.call("POST", "/guest", &[("x-session", "cookie")], None).await.expect(201).cookie();

    for origin in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[],
    ] {
        with_cookie(&desk, &cookie, origin).await.problem(403, "foreign_origin");
    }
    with_cookie(&desk, &cookie, &[("origin", "https://shop.example")]).await.expect(200);
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_refresh_by_cookie() {
    let mut settings = settings();
    settings.allowed_origins = vec!["http://localhost:5173".to_owned()];
    let desk = Desk::with(settings).await;
    let cookie = desk.call("POST", "/guest", &[("x-session", "cookie")], None).await.expect(201).cookie();

    with_cookie(&desk, &cookie, &[("origin", "http://localhost:5173")]).await.expect(200);
}

#[tokio::test]
async fn what_has_ended_is_swept_and_what_lives_is_not() {
    let desk = Desk::open().await;
    let old = desk.register("ada@example.com").await;
    desk.post_as(&old.token(), "/logout", None).await.expect(204);
    desk.wait(31 * 24 * 3600);
    let young = desk.login("ada@example.com", PASSWORD).await.expect(200);
    let counted = || async {
        let store = cartwright_auth::open(&desk.database).await.unwrap();
        store.scan::<AnySession>().all().await.unwrap().len()
    };
    assert_eq!(counted().await, 2);

    let tasks = Tasks::new();
    desk.auth.service().jobs.iter().for_each(|job| job.start(&tasks));
    for _ in 0..1000 {
        if counted().await == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    tasks.drain(&desk.clock, std::time::Duration::from_secs(1)).await;

    assert_eq!(counted().await, 1);
    desk.refresh(&young.refresh_token()).await.expect(200);
}

/// A session as far as counting needs it.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct AnySession {
    id: String,
}

impl cartwright_store::Document for AnySession {
    const COLLECTION: &'static str = "sessions";

    fn key(&self) -> String {
        self.id.clone()
    }
}
