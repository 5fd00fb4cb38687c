//! The routes of notification. What sends is for services and admins, what looks is for admins.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use cartwright_http::{Caller, Command, IdempotencyKey, Json, Page, PageQuery, Problem, answer};
use cartwright_runtime::Time;
use cartwright_store::{Lane, Store, change, execute};
use cartwright_vocabulary::{NotificationId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Settings;
use crate::documents::{SavedTemplate, Wanted, deliveries, saved_templates};
use crate::domain::built_in::BuiltIn;
use crate::domain::notification::{Notification, Status};
use crate::domain::template::Template;
use crate::domain::words::Shop;
use crate::error::NotificationError;
use crate::mailer::{KeptMail, Mailer};
use crate::operations::request_email::{RequestEmail, Requested, request_email};
use crate::operations::retry_delivery::retry_delivery;
use crate::operations::save_template::save_template;

/// What the routes work with.
#[derive(Clone)]
struct Desk {
    store: Store,
    mailer: Arc<dyn Mailer>,
    settings: Arc<Settings>,
}

/// Everything that notification answers.
pub(crate) fn routes(store: Store, mailer: Arc<dyn Mailer>, settings: Settings) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(post_email))
        .routes(routes!(post_sms))
        .routes(routes!(post_push))
        .routes(routes!(get_deliveries))
        .routes(routes!(post_retry))
        .routes(routes!(get_templates))
        .routes(routes!(put_template))
        .routes(routes!(get_mailbox))
        .with_state(Desk { store, mailer, settings: Arc::new(settings) })
}

/// Sends an e-mail from a template, to an address or a user.
#[utoipa::path(
    post, path = "/send-email", tag = "notification", security(("bearer" = [])), request_body = RequestEmail,
    responses(
        (status = 202, body = Requested),
        (status = 400, body = Problem),
        (status = 404, body = Problem, description = "`template_unknown`"),
    )
)]
async fn post_email(State(desk): State<Desk>, command: Command<RequestEmail>) -> Result<Response, Problem> {
    command.caller.must_be_staff()?;
    let id = command.body.id(&desk.store)?;
    let lane = Lane::of::<Notification>(id.to_string());
    let (body, shop) = (&command.body, Shop::from(&*desk.settings));
    let requested =
        execute(
            &desk.store,
            &command.request,
            lane,
            |store| async move { request_email(&store, shop, id, body).await },
        );
    Ok(answer::<Requested>(StatusCode::ACCEPTED, requested.await?))
}

/// Refused: no provider for text messages is set up.
#[utoipa::path(
    post, path = "/send-sms", tag = "notification", security(("bearer" = [])),
    responses((status = 501, body = Problem, description = "`channel_not_configured`"))
)]
async fn post_sms(caller: Caller) -> Result<Response, Problem> {
    caller.must_be_staff()?;
    Err(NotificationError::ChannelNotConfigured("SMS").into())
}

/// Refused: no provider for push messages is set up.
#[utoipa::path(
    post, path = "/send-push", tag = "notification", security(("bearer" = [])),
    responses((status = 501, body = Problem, description = "`channel_not_configured`"))
)]
async fn post_push(caller: Caller) -> Result<Response, Problem> {
    caller.must_be_staff()?;
    Err(NotificationError::ChannelNotConfigured("push messages").into())
}

/// Which messages are looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DeliveryFilter {
    /// Only messages to this user.
    user_id: Option<String>,
    /// Only messages that got so far.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
}

impl DeliveryFilter {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let user = self.user_id.as_ref().map(|text| text.parse::<UserId>()).transpose();
        let user = user.map_err(|error| Problem::invalid("userId", error))?;
        let status = self
            .status
            .as_ref()
            .map(|text| Status::named(text).ok_or_else(|| Problem::invalid("status", "queued, sent or failed")));
        Ok(Wanted { user, status: status.transpose()? })
    }
}

/// One message in the delivery log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryView {
    #[schema(value_type = String)]
    notification_id: NotificationId,
    /// Absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// Always `email` today.
    channel: &'static str,
    template: String,
    status: Status,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[schema(value_type = String)]
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    sent_at: Option<Time>,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next_attempt_at: Option<Time>,
}

impl From<Notification> for DeliveryView {
    fn from(message: Notification) -> Self {
        Self {
            notification_id: message.id,
            user_id: message.user,
            channel: "email",
            template: message.occasion.template().to_owned(),
            status: message.status,
            attempts: message.attempts,
            last_error: message.last_error,
            created_at: message.created_at,
            sent_at: message.sent_at,
            next_attempt_at: (message.status == Status::Queued).then_some(message.lease.due),
        }
    }
}

/// The delivery log, newest first: attempts and the last error of each message.
#[utoipa::path(
    get, path = "/deliveries", tag = "notification", security(("bearer" = [])), params(DeliveryFilter, PageQuery),
    responses((status = 200, body = Page<DeliveryView>), (status = 400, body = Problem))
)]
async fn get_deliveries(
    State(desk): State<Desk>,
    caller: Caller,
    filter: Result<Query<DeliveryFilter>, QueryRejection>,
    page: PageQuery,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    caller.must_be_admin()?;
    let Query(filter) = filter.map_err(|rejection| Problem::bad_request("invalid_input", rejection.body_text()))?;
    let limit = page.limit()?;
    let unknown = || Problem::invalid("cursor", "not a cursor that this list gave");
    let after = page.cursor.as_ref().map(|text| text.parse::<NotificationId>().map_err(|_| unknown())).transpose()?;
    let found = deliveries(&desk.store, filter.wanted()?, limit + 1, after).await?.ok_or_else(unknown)?;
    Ok(Json(Page::of(found, limit, |last| last.doc.id.to_string(), |message| message.doc.into())))
}

/// Starts a message again that failed or waits for its next attempt.
#[utoipa::path(
    post, path = "/deliveries/{id}/retry", tag = "notification", security(("bearer" = [])), params(("id" = String, Path)),
    responses(
        (status = 202, body = Requested),
        (status = 404, body = Problem, description = "`delivery_unknown`"),
        (status = 409, body = Problem, description = "`already_sent`"),
    )
)]
async fn post_retry(
    State(desk): State<Desk>,
    caller: Caller,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.must_be_admin()?;
    let id: NotificationId =
        id.parse().map_err(|_| Problem::not_found("delivery_unknown", "There is no such delivery."))?;
    let request = key.request(&caller.id, &id)?;
    let lane = Lane::of::<Notification>(id.to_string());
    let requested = execute(&desk.store, &request, lane, |store| async move { retry_delivery(&store, id).await });
    Ok(answer::<Requested>(StatusCode::ACCEPTED, requested.await?))
}

/// A template.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TemplateView {
    name: String,
    #[serde(flatten)]
    template: Template,
    /// Whether a built-in of this name stands behind it.
    built_in: bool,
    /// When the shop saved it last; absent where it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    updated_at: Option<Time>,
}

impl From<SavedTemplate> for TemplateView {
    fn from(saved: SavedTemplate) -> Self {
        let built_in = BuiltIn::named(&saved.name).is_some();
        Self { name: saved.name, template: saved.template, built_in, updated_at: Some(saved.updated_at) }
    }
}

impl From<BuiltIn> for TemplateView {
    fn from(built_in: BuiltIn) -> Self {
        Self { name: built_in.name().to_owned(), template: built_in.template(), built_in: true, updated_at: None }
    }
}

/// All templates by name: the built-in ones, and the shop's own, which stand in the place of built-ins of the same name.
#[utoipa::path(
    get, path = "/templates", tag = "notification", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, body = Page<TemplateView>))
)]
async fn get_templates(
    State(desk): State<Desk>,
    caller: Caller,
    page: PageQuery,
) -> Result<Json<Page<TemplateView>>, Problem> {
    caller.must_be_admin()?;
    let limit = page.limit()?;
    let after = page.cursor.as_deref().unwrap_or("");
    // One more than fits, so that it is known whether there are more, and one for `after` itself.
    let saved = saved_templates(&desk.store, after, limit + 2).await?;
    let built_in = BuiltIn::ALL.into_iter().map(TemplateView::from);
    let all = built_in.chain(saved.into_iter().map(|saved| saved.doc.into()));
    let by_name: BTreeMap<String, TemplateView> = all.map(|view| (view.name.clone(), view)).collect();
    let wanted = by_name.into_values().filter(|view| view.name.as_str() > after).take(limit + 1).collect();
    Ok(Json(Page::of(wanted, limit, |last: &TemplateView| last.name.clone(), |view| view)))
}

/// Saves a template in the shop's own words.
#[utoipa::path(
    put, path = "/templates/{name}", tag = "notification", security(("bearer" = [])), params(("name" = String, Path)), request_body = Template,
    responses((status = 200, body = TemplateView), (status = 400, body = Problem))
)]
async fn put_template(
    State(desk): State<Desk>,
    caller: Caller,
    Path(name): Path<String>,
    Json(template): Json<Template>,
) -> Result<Json<TemplateView>, Problem> {
    caller.must_be_admin()?;
    let (shop, name, template) = (Shop::from(&*desk.settings), &name, &template);
    let lane = Lane::of::<SavedTemplate>(name);
    let saved = change(&desk.store, lane, |store| async move { save_template(&store, shop, name, template).await });
    Ok(Json(saved.await?.into()))
}

/// A mail that was kept on this machine.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeptMailView {
    name: String,
    message_id: String,
    to: String,
    subject: String,
    text: String,
    #[schema(value_type = String)]
    date: Time,
}

impl From<KeptMail> for KeptMailView {
    fn from(mail: KeptMail) -> Self {
        let KeptMail { name, message_id, to, subject, text, date } = mail;
        Self { name, message_id, to, subject, text, date }
    }
}

/// The mails that were kept on this machine because no mail server is set up, newest first.
#[utoipa::path(
    get, path = "/admin/mailbox", tag = "notification", security(("bearer" = [])), params(PageQuery),
    responses(
        (status = 200, body = Page<KeptMailView>),
        (status = 404, body = Problem, description = "`mailbox_not_local`"),
    )
)]
async fn get_mailbox(
    State(desk): State<Desk>,
    caller: Caller,
    page: PageQuery,
) -> Result<Json<Page<KeptMailView>>, Problem> {
    caller.must_be_admin()?;
    let limit = page.limit()?;
    let mailbox = desk.mailer.mailbox().ok_or(NotificationError::NoMailbox)?;
    let mails = mailbox.mails(limit + 1, page.cursor.as_deref()).await.map_err(NotificationError::from)?;
    Ok(Json(Page::of(mails, limit, |last| last.name.clone(), KeptMailView::from)))
}
