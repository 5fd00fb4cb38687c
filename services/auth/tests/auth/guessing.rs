//! Slowing down who guesses.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::json;

use crate::desk::{Answer, Desk, PASSWORD, settings};

async fn login_from(desk: &Desk, address: [u8; 4], email: &str, password: &str) -> Answer {
    let body = Body::from(json!({ "email": email, "password": password }).to_string());
    let request = Request::post("/login").header("content-type", "application/json");
    let mut request = request.body(body).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 1))));
    desk.send(request).await
}

#[tokio::test]
async fn after_five_failures_an_account_waits_whether_it_exists_or_not() {
    let desk = Desk::open().await;
    desk.register("ada@example.com").await;

    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            desk.login(email, "wrong-horse").await.problem(401, "invalid_credentials");
        }
        let refused = desk.login(email, PASSWORD).await.problem(429, "too_many_attempts");
        assert_eq!(refused.headers["retry-after"], "12");
    }
    desk.wait(12);
    desk.login("ada@example.com", PASSWORD).await.expect(200);
    desk.login("ada@example.com", "wrong-horse").await.problem(401, "invalid_credentials");
}

#[tokio::test]
async fn attempts_side_by_side_are_counted_like_attempts_one_after_another() {
    let desk = Desk::open().await;
    desk.register("ada@example.com").await;

    let answers = futures::future::join_all((0..50).map(|_| desk.login("ada@example.com", "wrong-horse"))).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 5);
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_waits_and_others_do_not() {
    let desk = Desk::open().await;
    desk.register("ada@example.com").await;

    for account in 0..20 {
        let email = format!("nobody{account}@example.com");
        login_from(&desk, [192, 0, 2, 9], &email, "wrong-horse").await.problem(401, "invalid_credentials");
    }
    login_from(&desk, [192, 0, 2, 9], "ada@example.com", PASSWORD).await.problem(429, "too_many_attempts");
    login_from(&desk, [192, 0, 2, 10], "ada@example.com", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn clients_on_this_machine_do_not_wait_where_they_are_exempt() {
    let mut settings = settings();
    settings.exempt_loopback = true;
    let desk = Desk::with(settings).await;

    for _ in 0..30 {
        login_from(&desk, [127, 0, 0, 1], "ada@example.com", "wrong-horse").await.problem(401, "invalid_credentials");
    }
    for _ in 0..5 {
        login_from(&desk, [192, 0, 2, 9], "ada@example.com", "wrong-horse").await.problem(401, "invalid_credentials");
    }
    login_from(&desk, [192, 0, 2, 9], "ada@example.com", "wrong-horse").await.problem(429, "too_many_attempts");
}
