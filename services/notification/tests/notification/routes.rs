//! What callers may ask of notification.

use axum::http::StatusCode;
use cartwright_contracts::{OrderConfirmed, UserRegistered};
use cartwright_notification::{MailError, Status};
use cartwright_store::MemoryBackend;
use cartwright_vocabulary::CartId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::desk::{ADA, Desk, ORDER, Post, STRANGER};

fn coupon() -> Value {
    json!({"subject": "{{ percent }} % off", "text": "Use {{ code }} at {{ shop.name }}.", "html": "<p>{{ code }}</p>"})
}

fn request() -> Value {
    json!({"to": "Ada@example.com", "template": "coupon", "data": {"percent": 10, "code": "<TEA>"}, "dedupeKey": "c-1"})
}

async fn desk_with_coupon() -> Desk {
    let desk = Desk::new().await;
    let (status, _) = desk.call("admin", "PUT", "/templates/coupon", Some(coupon())).await;
    assert_eq!(status, StatusCode::OK);
    desk
}

#[tokio::test]
async fn only_services_and_admins_send_and_only_admins_look() {
    let desk = Desk::new().await;
    let sending = [("POST", "/send-email"), ("POST", "/send-sms"), ("POST", "/send-push")];
    let looking = [
        ("GET", "/deliveries"),
        ("POST", "/deliveries/ntf_00000000000000000000000000000001/retry"),
        ("GET", "/templates"),
        ("PUT", "/templates/coupon"),
        ("GET", "/admin/mailbox"),
    ];
    let body = |path: &str| if path.starts_with("/templates/") { coupon() } else { request() };
    for (method, path) in sending.into_iter().chain(looking) {
        let (status, problem) = desk.call("customer", method, path, Some(body(path))).await;
        assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")), "{path}");
        assert_eq!(desk.call("nobody", method, path, Some(body(path))).await.0, StatusCode::UNAUTHORIZED, "{path}");
        let (status, _) = desk.call("service", method, path, Some(body(path))).await;
        assert_eq!(status == StatusCode::FORBIDDEN, looking.contains(&(method, path)), "{path}");
    }
    assert!(desk.notifications().await.is_empty());
}

#[tokio::test]
async fn a_mail_asked_for_twice_under_one_key_is_sent_once() {
    let desk = desk_with_coupon().await;
    let (status, first) = desk.call("service", "POST", "/send-email", Some(request())).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, second) = desk.call("admin", "POST", "/send-email", Some(request())).await;
    assert_eq!((status, second), (StatusCode::ACCEPTED, first));
    desk.settle().await;

    let [mail] = desk.mails().try_into().unwrap();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ada@example.com", "10 % off"));
    assert_eq!((mail.text.as_str(), mail.html.as_str()), ("Use <TEA> at Tea & Cups.", "<p>&lt;TEA&gt;</p>"));
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_another_one_is_another_mail() {
    let desk = desk_with_coupon().await;
    let body = json!({"userId": ADA, "template": "coupon", "data": {"percent": 1.5, "code": "TEA"}});
    let send = |key| desk.call_keyed("service", "POST", "/send-email", Some(body.clone()), key);
    let (_, first) = send(Some("key-1")).await;
    assert_eq!(send(Some("key-1")).await.1, first);
    assert_ne!(send(Some("key-2")).await.1, first);
    let other = Some(json!({"userId": STRANGER, "template": "coupon", "data": {"percent": 1, "code": "TEA"}}));
    let (status, problem) = desk.call_keyed("service", "POST", "/send-email", other, Some("key-1")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("idempotency_key_reused")));
    desk.settle().await;
    assert_eq!(desk.mails().len(), 2);
    assert!(desk.mails().iter().all(|mail| mail.to.as_str() == "ada@example.com" && mail.subject == "1.5 % off"));
}

#[tokio::test]
async fn what_could_never_be_sent_is_refused_with_a_pointer() {
    let desk = desk_with_coupon().await;
    let data = json!({"percent": 10, "code": "TEA"});
    for (body, status, code, pointer) in [
        (json!({"template": "coupon", "data": data}), 400, "invalid_input", "/to"),
        (json!({"to": "a@b.co", "userId": ADA, "template": "coupon", "data": data}), 400, "invalid_input", "/to"),
        (json!({"to": "nowhere", "template": "coupon", "data": data}), 400, "invalid_input", "/to"),
        (json!({"to": "a@b.co", "template": "coupon", "data": {"code": "TEA"}}), 400, "invalid_input", "/data"),
        (json!({"to": "a@b.co", "template": "coupon", "data": {"code": ["TEA"]}}), 400, "invalid_input", "/data/code"),
        (
            json!({"to": "a@b.co", "template": "coupon", "data": data, "dedupeKey": ""}),
            400,
            "invalid_input",
            "/dedupeKey",
        ),
        (json!({"to": "a@b.co", "template": "nothing", "data": data}), 404, "template_unknown", ""),
    ] {
        let (answered, problem) = desk.call("service", "POST", "/send-email", Some(body.clone())).await;
        assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{body} {problem}");
        assert_eq!(problem["errors"][0]["pointer"].as_str().unwrap_or(""), pointer, "{body} {problem}");
    }
    assert!(desk.notifications().await.is_empty());
}

#[tokio::test]
async fn a_channel_without_a_provider_says_so() {
    let desk = Desk::new().await;
    for path in ["/send-sms", "/send-push"] {
        let (status, problem) = desk.call("service", "POST", path, Some(request())).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (501, Some("channel_not_configured")), "{path}");
    }
}

#[tokio::test]
async fn the_delivery_log_is_read_by_pages_and_filtered() {
    let desk = desk_with_coupon().await;
    desk.hear(&UserRegistered { user: ADA }).await;
    desk.settle().await;
    desk.clock.advance(std::time::Duration::from_secs(1));
    desk.hear(&UserRegistered { user: STRANGER }).await;
    desk.settle().await;
    desk.clock.advance(std::time::Duration::from_secs(1));
    desk.call("service", "POST", "/send-email", Some(request())).await;
    desk.settle().await;

    let list = async |query: &str| desk.call("admin", "GET", &format!("/deliveries{query}"), None).await.1;
    let templates = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["template"].as_str().unwrap().to_owned()).collect()
    };
    let first = list("?limit=2").await;
    assert_eq!(templates(&first), ["coupon", "welcome"]);
    let rest = list(&format!("?limit=2&cursor={}", first["nextCursor"].as_str().unwrap())).await;
    assert_eq!((templates(&rest), &rest["nextCursor"]), (vec!["welcome".to_owned()], &Value::Null));
    assert_eq!(rest["items"][0]["userId"], json!(ADA));
    assert!(rest["items"][0]["sentAt"].is_string());

    let failed = list("?status=failed").await;
    assert_eq!(failed["items"][0]["userId"], json!(STRANGER));
    assert_eq!((failed["items"].as_array().unwrap().len(), &failed["items"][0]["attempts"]), (1, &json!(1)));
    assert!(failed["items"][0]["lastError"].as_str().unwrap().contains("nobody knows"));
    assert_eq!(templates(&list(&format!("?userId={ADA}&status=sent")).await), ["welcome"]);
    assert!(templates(&list(&format!("?userId={ADA}&status=failed")).await).is_empty());
    assert_eq!(list("?status=lost").await["errors"][0]["pointer"], "status");
    assert_eq!(list("?userId=7").await["errors"][0]["pointer"], "userId");
    assert_eq!(list("?cursor=7").await["errors"][0]["pointer"], "cursor");
}

#[tokio::test]
async fn a_failed_delivery_is_started_again_when_asked_and_a_sent_one_is_not() {
    let desk = Desk::new().await;
    desk.post.answers.lock().unwrap().push_back(Err(MailError::Refused("550 full".to_owned())));
    desk.hear(&OrderConfirmed { order: ORDER, user: ADA, cart: CartId::new(Uuid::from_u128(3)) }).await;
    desk.settle().await;
    let [failed] = desk.notifications().await.try_into().unwrap();
    assert_eq!(failed.status, Status::Failed);

    let retry = format!("/deliveries/{}/retry", failed.id);
    let (status, body) = desk.call("admin", "POST", &retry, None).await;
    assert_eq!((status, body), (StatusCode::ACCEPTED, json!({"notificationId": failed.id})));
    desk.settle().await;
    assert_eq!((desk.mails().len(), desk.notifications().await[0].status), (1, Status::Sent));

    let (status, problem) = desk.call("admin", "POST", &retry, None).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("already_sent")));
    for unknown in ["ntf_00000000000000000000000000000001", "7"] {
        let (status, problem) = desk.call("admin", "POST", &format!("/deliveries/{unknown}/retry"), None).await;
        assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("delivery_unknown")));
    }
}

#[tokio::test]
async fn templates_start_with_the_built_in_ones_and_take_the_shops_own_words() {
    let desk = desk_with_coupon().await;
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = desk.call("admin", "GET", "/templates?limit=3", None).await;
    assert_eq!(names(&first), ["coupon", "order-cancelled", "order-confirmed"]);
    assert_eq!((&first["items"][0]["builtIn"], &first["items"][1]["builtIn"]), (&json!(false), &json!(true)));
    let (_, rest) = desk.call("admin", "GET", "/templates?limit=3&cursor=order-confirmed", None).await;
    assert_eq!((names(&rest), &rest["nextCursor"]), (vec!["refund".to_owned(), "welcome".to_owned()], &Value::Null));

    let own = json!({"subject": "Hi {{ name }}", "text": "You are in.", "html": "<p>You are in.</p>"});
    assert_eq!(desk.call("admin", "PUT", "/templates/welcome", Some(own)).await.0, StatusCode::OK);
    let (_, all) = desk.call("admin", "GET", "/templates", None).await;
    assert_eq!(names(&all), ["coupon", "order-cancelled", "order-confirmed", "refund", "welcome"]);
    assert_eq!(all["items"][4]["text"], "You are in.");
    desk.hear(&UserRegistered { user: ADA }).await;
    desk.settle().await;
    assert_eq!(desk.mails()[0].subject, "Hi Ada <Byron>");
}

#[tokio::test]
async fn a_template_that_would_fail_is_refused_and_the_old_one_stays() {
    let desk = Desk::new().await;
    let own = |text: &str| json!({"subject": "s", "text": text, "html": "h"});
    for (name, text, pointer) in [
        ("coupon", "{{ code", "/text"),
        ("coupon", " ", "/text"),
        ("welcome", "Hello {{ nmae }}", "/text"),
        ("welcome", "Hello {{ name | shout }}", "/text"),
        ("Welcome", "Hello", "name"),
    ] {
        let path = format!("/templates/{name}");
        let (status, problem) = desk.call("admin", "PUT", &path, Some(own(text))).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (400, &json!(pointer)), "{text} {problem}");
    }
    let (_, all) = desk.call("admin", "GET", "/templates", None).await;
    assert!(all["items"].as_array().unwrap().iter().all(|item| item["updatedAt"] == Value::Null), "{all}");
}

#[tokio::test]
async fn mails_kept_on_this_machine_are_listed_and_mails_sent_on_are_not() {
    let away = Desk::new().await;
    let (status, problem) = away.call("admin", "GET", "/admin/mailbox", None).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (404, Some("mailbox_not_local")));

    let desk = Desk::on(MemoryBackend::new(), Post { local: true, ..Post::default() }).await;
    desk.hear(&UserRegistered { user: ADA }).await;
    desk.settle().await;
    let (status, page) = desk.call("admin", "GET", "/admin/mailbox", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page["items"][0]["to"], "ada@example.com");
    assert_eq!(page["items"][0]["subject"], "Welcome to Tea & Cups");
    assert!(page["items"][0]["text"].as_str().unwrap().contains("https://tea.example"));
}
